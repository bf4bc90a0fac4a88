"""The handwriting: 1,797 real digits of 8 x 8 pixels, cut into pools that never share an image.

Source: scikit-learn's copy of the UCI "Optical Recognition of Handwritten Digits" test set (Alpaydin and Kaynak, 1998).

The cut is fixed: the shipped base model has seen the pool `base`, so no seed of a federation may move an image out
of it. `unseen` is what neither the base nor any client trained on; it is cut again, so that settings chosen on
`val` are reported on handwriting that chose nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

PoolName = Literal["base", "train", "val", "test"]

NUM_CLASSES = 10
POOL_SIZES: Mapping[PoolName, int] = MappingProxyType({"base": 800, "train": 500, "val": 197, "test": 300})
_CUT_SEED = 0


@dataclass(frozen=True)
class Pool:
    """Some of the digit images: `indices` into scikit-learn's order, sorted by class in `by_class`."""

    name: PoolName
    indices: tuple[int, ...]
    by_class: tuple[tuple[int, ...], ...]


@cache
def _load() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """All images [1797, 8, 8] in 0..1 and their classes [1797]."""
    digits = load_digits()
    return (digits.images / 16.0).astype(np.float32), digits.target.astype(np.int64)


@cache
def pools() -> Mapping[PoolName, Pool]:
    """The four disjoint pools. Together they hold every image once."""
    _, classes = _load()
    order = np.random.default_rng(_CUT_SEED).permutation(len(classes))
    ends = np.cumsum(list(POOL_SIZES.values()))
    assert ends[-1] == len(classes)
    parts = np.split(order, ends[:-1])
    return MappingProxyType({name: _pool(name, part, classes) for name, part in zip(POOL_SIZES, parts, strict=True)})


def _pool(name: PoolName, part: NDArray[np.int64], classes: NDArray[np.int64]) -> Pool:
    by_class = tuple(tuple(int(index) for index in part if classes[index] == number) for number in range(NUM_CLASSES))
    return Pool(name, tuple(int(index) for index in part), by_class)


@cache
def digit_image(index: int, size: int) -> NDArray[np.float32]:
    """Image `index`, bilinearly enlarged to [size, size], in 0..1. Read-only."""
    small = Image.fromarray(_load()[0][index])
    image = np.array(small.resize((size, size), Image.Resampling.BILINEAR))
    image.flags.writeable = False
    return image


def digit_class(index: int) -> int:
    """Which digit image `index` shows."""
    return int(_load()[1][index])
