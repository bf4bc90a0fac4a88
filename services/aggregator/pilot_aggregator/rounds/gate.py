"""Updates that stand out from their peers. Pure.

Two marks, on the sealed set: the norm of an update's change from what its client was given against the median of the
round, and its mean distance to the clients of its own task against the median of those means. A flag is a reason to
look, never a proof: a client with unusual data looks the same. With fewer than three peers there is no crowd to stand
out from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

MIN_PEERS = 3


@dataclass(frozen=True)
class Measurement:
    """Distances between the updates of one kind, and how far each is from what its client was given; clients sorted."""

    metric: str
    clients: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    """Empty where no rule reads it: it grows with the square of the clients."""
    change_norms: tuple[float, ...]
    to_peers: Mapping[str, float] = field(default_factory=dict)
    """The mean distance of each client to the others of its task, if it has any; empty in rounds that were stored
    before it was measured apart from the matrix."""


@dataclass(frozen=True)
class Mark:
    """What one mark compares, and from where on an update bears it."""

    name: str
    values: Mapping[str, float]
    median: float | None = None
    """None where there is no crowd."""
    limit: float | None = None

    @property
    def bearers(self) -> list[str]:
        """The clients that stand out."""
        limit = self.limit
        return [] if limit is None else [client for client, value in self.values.items() if value > limit]


def marks(measured: Measurement, max_ratio: float) -> tuple[Mark, ...]:
    """Both marks for the updates of one kind."""
    norms = dict(zip(measured.clients, measured.change_norms, strict=True))
    return _mark("norm_outlier", norms, max_ratio), _mark("suspicious", measured.to_peers, max_ratio)


def flags(measured: Measurement, max_ratio: float) -> dict[str, tuple[str, ...]]:
    """Client to the marks that it bears; clients without one are left out."""
    found: dict[str, list[str]] = {}
    for mark in marks(measured, max_ratio):
        for client in mark.bearers:
            found.setdefault(client, []).append(mark.name)
    return {client: tuple(borne) for client, borne in sorted(found.items())}


def _mark(name: str, values: Mapping[str, float], max_ratio: float) -> Mark:
    if len(values) < MIN_PEERS:
        return Mark(name, values)
    middle = median(values.values())
    return Mark(name, values, middle, max_ratio * middle)
