"""Stored floating point numbers to float64, exactly.

    F32, F16   IEEE 754 binary32 and binary16, little endian
    BF16       the upper half of a binary32: value = binary32(bits << 16)

Every value of the three is a float64, so widening is exact, and numpy needs no bfloat16 type for it. What is written
is always F32: a mean of 16-bit adapters is no 16-bit number.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

OUTPUT_DTYPE = "F32"
OUTPUT_BYTES = 4


def widen(raw: Bytes, dtype: str, out_n: F64) -> None:
    """Fill out_n (n) with the n numbers that `raw` holds as F32, F16 or BF16."""
    # A signalling NaN warns when it is converted; the caller refuses it by name instead.
    with np.errstate(invalid="ignore"):
        np.copyto(out_n, _VIEW[dtype](raw))


def _bfloat16(raw: Bytes) -> F32:
    bits_n = raw.view("<u2").astype(np.uint32)
    np.left_shift(bits_n, 16, out=bits_n)
    return bits_n.view(np.float32)


_VIEW: Mapping[str, Callable[[Bytes], NDArray[np.floating]]] = {
    "F32": lambda raw: raw.view("<f4"),
    "F16": lambda raw: raw.view("<f2"),
    "BF16": _bfloat16,
}

WIDTH: Mapping[str, int] = {"F32": 4, "F16": 2, "BF16": 2}
"""The dtypes that can be merged, and their bytes per number."""
