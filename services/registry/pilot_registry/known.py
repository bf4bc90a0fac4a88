"""What was found out about bytes that never change, so that it is found out once."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pilot_proto.registry import CompareReport
from pilot_proto.tensors import Header

from pilot_registry.figures import Figures

V = TypeVar("V")

MOST = 20_000
"""Tensors, or pairs of clients, about which each kind of thing is remembered: some megabytes."""


class Known(Generic[V]):
    """Values by key, each with a weight; while all weigh too much, the longest unused goes. Several threads use it."""

    def __init__(self, limit: int = MOST) -> None:
        self._limit = limit
        self._weight = 0
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()

    def find(self, key: Hashable) -> V | None:
        """What is known, if anything is."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def keep(self, key: Hashable, value: V, weight: int = 1) -> V:
        """Remember a value that is not None; it is handed back."""
        with self._lock:
            old = self._values.pop(key, None)
            self._values[key] = value, weight
            self._weight += weight - (old[1] if old else 0)
            while self._weight > self._limit:
                _, (_, gone) = self._values.popitem(last=False)
                self._weight -= gone
        return value


@dataclass(frozen=True)
class Findings:
    """What a registry has found out."""

    headers: Known[Header] = field(default_factory=Known)
    """By the digest of a file."""
    figures: Known[Figures] = field(default_factory=Known)
    """By the digest of a file and a tensor's name."""
    comparisons: Known[CompareReport] = field(default_factory=Known)
    """By the paths and digests of both sides."""
