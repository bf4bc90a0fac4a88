"""Two threads for large files, one for small ones: those two would wait for each other's turn in Python."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

THREADS = 2
SMALL_FILE = 1 << 20
"""Bytes; files below are small."""

T = TypeVar("T")
R = TypeVar("R")


def threads_for(files: Iterable[Path]) -> int:
    """How many threads are worth while for work on all of these files."""
    return THREADS if any(_size(file) >= SMALL_FILE for file in files) else 1


def in_order(work: Callable[[T], R], items: Sequence[T], threads: int) -> Iterator[R]:
    """In the order of the items; what has been taken is not kept."""
    if threads == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads, "merge") as pool:
        yield from pool.map(work, items)


def _size(file: Path) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return 0  # Whoever reads it says what is wrong with it.
