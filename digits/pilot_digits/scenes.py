"""Scenes: a canvas of 32 x 32 pixels with one to three real digits of different classes.

Positions and sizes are multiples of 4 pixels: with free positions a base model of this size never learns to ground
(it stays near 0-12 %), on the lattice it does. No two digits share the column or the row of their centres, so
"leftmost", "from the top" and "to the left of" always have exactly one right answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pilot_digits.handwriting import NUM_CLASSES, Pool, digit_image

CANVAS = 32
LATTICE = 4
MAX_DIGITS = 3


@dataclass(frozen=True)
class Digit:
    """One digit on the canvas; edges in pixels, right and bottom exclusive."""

    number: int
    left: int
    top: int
    right: int
    bottom: int

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def quarter(self) -> str:
        """Where its centre is. The middle lines belong to the right and to the bottom."""
        x, y = self.centre
        return f"{'top' if y < CANVAS / 2 else 'bottom'} {'left' if x < CANVAS / 2 else 'right'}"


@dataclass(frozen=True)
class Look:
    """How a client's pictures look. `contrast` is a range to draw from; `noise` a standard deviation, both of 0..1."""

    sizes: tuple[int, ...] = (8, 12)
    contrast: tuple[float, float] = (1.0, 1.0)
    noise: float = 0.03
    inverted: bool = False
    class_weights: tuple[float, ...] | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """Grey pixels [32, 32] uint8, what is on them, and which digit images were used."""

    pixels: NDArray[np.uint8]
    digits: tuple[Digit, ...]
    sources: tuple[int, ...]


def draw_scene(rng: np.random.Generator, pool: Pool, look: Look) -> Scene:
    """A random scene whose handwriting comes from `pool` only."""
    digits = draw_layout(rng, look)
    candidates = [pool.by_class[digit.number] for digit in digits]
    sources = tuple(int(images[rng.integers(len(images))]) for images in candidates)
    return Scene(_paint(rng, digits, sources, look), digits, sources)


def draw_layout(rng: np.random.Generator, look: Look) -> tuple[Digit, ...]:
    """Where which digits are, without any picture."""
    count = int(rng.integers(1, MAX_DIGITS + 1))
    numbers = rng.choice(NUM_CLASSES, size=count, replace=False, p=look.class_weights)
    while True:
        digits = tuple(_place(rng, int(number), look.sizes) for number in numbers)
        if _well_posed(digits):
            return digits


def _place(rng: np.random.Generator, number: int, sizes: Sequence[int]) -> Digit:
    size = sizes[int(rng.integers(len(sizes)))]
    left, top = (int(v) * LATTICE for v in rng.integers(0, (CANVAS - size) // LATTICE + 1, 2))
    return Digit(number, left, top, left + size, top + size)


def _well_posed(digits: Sequence[Digit]) -> bool:
    """No overlap, and an unambiguous order in both directions."""
    pairs = [(a, b) for i, a in enumerate(digits) for b in digits[:i]]
    return not any(_overlap(a, b) or a.centre[0] == b.centre[0] or a.centre[1] == b.centre[1] for a, b in pairs)


def _overlap(a: Digit, b: Digit) -> bool:
    return a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom


def _paint(rng: np.random.Generator, digits: Sequence[Digit], sources: Sequence[int], look: Look) -> NDArray[np.uint8]:
    canvas = np.zeros((CANVAS, CANVAS), np.float64)
    for digit, source in zip(digits, sources, strict=True):
        image = digit_image(source, digit.right - digit.left)
        canvas[digit.top : digit.bottom, digit.left : digit.right] = image
    canvas *= rng.uniform(*look.contrast)
    if look.inverted:
        canvas = 1 - canvas
    canvas += rng.normal(0, look.noise, canvas.shape)
    return np.rint(np.clip(canvas, 0, 1) * 255).astype(np.uint8)


def in_order(digits: Sequence[Digit], direction: Literal["right", "down"]) -> list[Digit]:
    """The digits from left to right, or from the top down."""
    axis = 0 if direction == "right" else 1
    return sorted(digits, key=lambda digit: digit.centre[axis])
