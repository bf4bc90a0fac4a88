"""What a tensor looks like in three numbers.

    norm = sqrt(sum_i x_i^2),   largest = max_i |x_i|,   both over the finite x_i;   non_finite: how many are not

x: the values of one tensor, F32, flattened, shape (n,). Sums in float64, where the square of a finite F32 is finite.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Figures:
    """Of one tensor."""

    norm: float
    largest: float
    non_finite: int

    @classmethod
    def of(cls, chunks: Iterable[NDArray[np.float32]]) -> Self:
        """Over the tensor's values in pieces of any size."""
        squares, largest, non_finite = 0.0, 0.0, 0
        for chunk in chunks:
            x, bad = _finite(chunk)
            non_finite += bad
            if x.size:
                wide = x.astype(np.float64)
                # Without BLAS, whose threads cost more than chunks this small.
                squares += float(np.square(wide, out=wide).sum())
                largest = max(largest, float(x.max()), -float(x.min()))
        return cls(math.sqrt(squares), largest, non_finite)


def _finite(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """The finite ones of x, shape (n,), and how many are not."""
    fine = np.isfinite(x)
    bad = int(x.size - np.count_nonzero(fine))
    return (x[fine], bad) if bad else (x, 0)
