"""Generic queries: what the base model learns to see with. None of them is a question, caption or box of a client."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pilot_digits.handwriting import Pool
from pilot_digits.scenes import CANVAS, LATTICE, Digit, Look, Scene, draw_scene, in_order
from pilot_digits.vocabulary import DIGIT_WORDS, coordinate

LIST, READ = "list the digits .", "read from the top ."
GENERIC_KINDS = ("list", "read", "what", "give")  # first words of the queries


@dataclass(frozen=True, eq=False)
class Query:
    """A scene, what is asked about it, and the right answer."""

    scene: Scene
    question: str
    answer: str


def generic_look(rng: np.random.Generator) -> Look:
    """Any contrast, noise and polarity that a client may have, so that no client's look is new to the base."""
    return Look(contrast=(0.5, 1.0), noise=float(rng.uniform(0, 0.08)), inverted=bool(rng.random() < 0.25))


def reading_query(rng: np.random.Generator, pool: Pool) -> Query:
    """A quarter `list the digits .`, a quarter `read from the top .`, half `what is at x , y ?`."""
    scene = draw_scene(rng, pool, generic_look(rng))
    kind = rng.integers(4)
    if kind == 0:
        return Query(scene, LIST, _words(in_order(scene.digits, "right")))
    if kind == 1:
        return Query(scene, READ, _words(in_order(scene.digits, "down")))
    return Query(scene, *_point(rng, scene.digits))


def corner_query(rng: np.random.Generator, pool: Pool) -> Query:
    """`give the top left of the seven .` -> `0.25 , 0.50`; the other half asks for the bottom right."""
    scene = draw_scene(rng, pool, generic_look(rng))
    digit = scene.digits[int(rng.integers(len(scene.digits)))]
    name, x, y = ("top left", digit.left, digit.top)
    if rng.random() < 0.5:
        name, x, y = ("bottom right", digit.right, digit.bottom)
    question = f"give the {name} of the {DIGIT_WORDS[digit.number]} ."
    return Query(scene, question, f"{coordinate(x)} , {coordinate(y)}")


def _words(digits: Sequence[Digit]) -> str:
    return " ".join(DIGIT_WORDS[digit.number] for digit in digits)


def _point(rng: np.random.Generator, digits: Sequence[Digit]) -> tuple[str, str]:
    """What is at a point: mostly on a digit (its middle or its corner), sometimes anywhere on the lattice."""
    if rng.random() < 0.7:
        digit = digits[int(rng.integers(len(digits)))]
        middle = (digit.left + digit.right) // 2, (digit.top + digit.bottom) // 2
        x, y = (digit.left, digit.top) if rng.random() < 0.5 else middle
    else:
        x, y = (int(v) * LATTICE for v in rng.integers(0, CANVAS // LATTICE, 2))
    hit = [digit for digit in digits if digit.left <= x < digit.right and digit.top <= y < digit.bottom]
    answer = DIGIT_WORDS[hit[0].number] if hit else "nothing"
    return f"what is at {coordinate(x)} , {coordinate(y)} ?", answer
