"""What was read or said before, so that it need not be again: bounded, the longest unused goes first."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recall(Generic[K, V]):
    """Values by key, as many as their sizes allow. Several threads use it."""

    def __init__(self, limit: int, size: Callable[[V], int] = lambda _: 1) -> None:
        """`limit` is of the sum of the sizes; without `size` it is a number of values."""
        self._limit = limit
        self._size_of = size
        self._size = 0
        self._lock = threading.Lock()
        self._known: OrderedDict[K, V] = OrderedDict()

    def keep(self, key: K, value: V) -> None:
        """Remember a value, instead of the one before it."""
        with self._lock:
            self._remove(key)
            self._known[key] = value
            self._size += self._size_of(value)
            while self._size > self._limit:
                self._remove(next(iter(self._known)))

    def find(self, key: K) -> V | None:
        """The value, if it is still known."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
            return self._known.get(key)

    def forget(self, key: K) -> None:
        """It is not needed any more, or not true."""
        with self._lock:
            self._remove(key)

    def _remove(self, key: K) -> None:
        if key in self._known:
            self._size -= self._size_of(self._known.pop(key))
