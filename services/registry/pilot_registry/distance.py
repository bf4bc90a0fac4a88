"""How far two tensors are apart.

    l2 = ||b - a||_2,   cosine = <a, b> / (||a|| ||b||),   relative = ||b - a|| / ||a||

a, b: the same tensor of two versions, F32, flattened, shape (n,). All sums in float64 over direct differences: a Gram
product (||a||^2 - 2 <a, b> + ||b||^2) loses all digits for close adapters.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Products:
    """The sums from which every figure follows; they add over chunks and over tensors."""

    aa: float = 0.0
    bb: float = 0.0
    ab: float = 0.0
    dd: float = 0.0

    def __add__(self, other: "Products") -> "Products":
        return Products(self.aa + other.aa, self.bb + other.bb, self.ab + other.ab, self.dd + other.dd)

    @property
    def norm_a(self) -> float:
        """||a||"""
        return math.sqrt(self.aa)

    @property
    def norm_b(self) -> float:
        """||b||"""
        return math.sqrt(self.bb)

    @property
    def l2(self) -> float:
        """||b - a||"""
        return math.sqrt(self.dd)

    @property
    def cosine(self) -> float | None:
        """None when a or b is zero; clipped, because rounding may leave [-1, 1]."""
        if self.aa == 0 or self.bb == 0:
            return None
        return max(-1.0, min(1.0, self.ab / (self.norm_a * self.norm_b)))

    @property
    def relative(self) -> float | None:
        """None when a is zero."""
        return self.l2 / self.norm_a if self.aa else None

    @classmethod
    def of(cls, chunks: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> Self:
        """The sums over pairs of equally long chunks, shape (n,) each."""
        aa = bb = ab = dd = 0.0
        for chunk_a, chunk_b in chunks:
            a, b = chunk_a.astype(np.float64), chunk_b.astype(np.float64)
            d = b - a
            aa, bb = aa + _inner(a, a), bb + _inner(b, b)
            ab, dd = ab + _inner(a, b), dd + _inner(d, d)
        return cls(aa, bb, ab, dd)


def _inner(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """<x, y>, shape (n,) each. Without BLAS, whose threads cost more than chunks this small."""
    return float(np.multiply(x, y).sum())
