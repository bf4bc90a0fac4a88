"""The arithmetic of a linear merge.

    y_j = sum_i c_ji x_i       in float64, i ascending, c_ji = 0 left out, rounded to float32 once

x_Kn: one block of n numbers of each of K inputs.  y_Jn: the same block of J outputs.

Elementwise multiply, then add: no BLAS, whose bits depend on the type of CPU, and no fused multiply-add. So the
result does not depend on how a tensor is cut into blocks. A sum starts with its first product, not with zero, so a
row with the single coefficient 1 is an exact copy (0 + -0.0 would lose the sign).
"""

from collections.abc import Sequence

import numpy as np

from pilot_aggregator.merge.dtypes import F32, F64
from pilot_aggregator.merge.mixture import Row

Terms = tuple[tuple[int, F64], ...]
"""The inputs that one output adds up: index and coefficient (a 0-d array, so that no call converts it again)."""


def terms_of(rows: Sequence[Row]) -> tuple[Terms, ...]:
    """The non-zero coefficients of each output, in the order of the inputs."""
    return tuple(tuple((i, np.asarray(c)) for i, c in enumerate(row) if c != 0.0) for row in rows)


def mix(x_Kn: F64, terms_J: Sequence[Terms], y_Jn: F32, sum_n: F64, product_n: F64) -> None:
    """Fill y_Jn. `sum_n` and `product_n` are scratch. A sum beyond the range of float32 becomes infinite."""
    with np.errstate(over="ignore"):
        for y_n, terms in zip(y_Jn, terms_J, strict=True):
            _add_up(x_Kn, terms, sum_n, product_n)
            np.copyto(y_n, sum_n, casting="same_kind")


def _add_up(x_Kn: F64, terms: Terms, sum_n: F64, product_n: F64) -> None:
    if not terms:
        sum_n.fill(0.0)
        return
    (first, c), *others = terms
    np.multiply(x_Kn[first], c, out=sum_n)
    for i, c in others:
        np.multiply(x_Kn[i], c, out=product_n)
        np.add(sum_n, product_n, out=sum_n)
