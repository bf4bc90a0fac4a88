"""Numbers of an uploaded file: is every value finite, and how long is it as a vector?

    norm = sqrt(sum_i x_i^2),   x: all values of all tensors, F32, summed in float64

One pass finds both: the square of the largest F32 is 1.2e77, so a float64 sum of squares of finite values stays finite
for any file that fits on a disk, and is NaN or infinite as soon as one value is.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def sum_of_squares(values: NDArray[np.float32]) -> float:
    """sum_i x_i^2 in float64, shape (n,); not finite when a value is not."""
    with np.errstate(invalid="ignore"):
        wide = values.astype(np.float64)
        # Not np.dot: BLAS would share a chunk this small among threads, which costs twenty times the work itself.
        return float(np.square(wide, out=wide).sum())


def norm(chunks: Iterable[NDArray[np.float32]]) -> float:
    """The L2 norm over all chunks; NaN or infinity when one value is."""
    total = 0.0
    for chunk in chunks:
        total += sum_of_squares(chunk)
    return float(np.sqrt(total))
