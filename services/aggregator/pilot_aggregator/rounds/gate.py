"""Updates that stand out from their peers. Pure.

Two marks, on the sealed set: the norm of an update's change from what its client was given against the median of the
round, and its mean distance to the clients of its own task against the median of those means. A flag is a reason to
look, never a proof: a client with unusual data looks the same. With fewer than three peers there is no crowd to stand
out from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum
from operator import itemgetter
from statistics import median

MIN_PEERS = 3


@dataclass(frozen=True)
class Measurement:
    """Distances between the updates of one kind, and how far each is from what its client was given; clients sorted."""

    metric: str
    clients: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    """Empty where no rule reads it, and `to_peers` is there: it grows with the square of the clients."""
    change_norms: tuple[float, ...]
    to_peers: Mapping[str, float] | None = None
    """The mean distance of each client to the others of its task, if it has any."""

    def condensed(self, tasks: Mapping[str, str]) -> "Measurement":
        """With what the gate needs of the matrix in its place."""
        return replace(self, matrix=(), to_peers=_to_peers(self, tasks))

    def of(self, clients: Sequence[str]) -> "Measurement":
        """The measurement of some of the clients."""
        place = {client: i for i, client in enumerate(self.clients)}
        index = [place[client] for client in sorted(clients)]
        return Measurement(
            self.metric,
            tuple(self.clients[i] for i in index),
            tuple(tuple(self.matrix[i][j] for j in index) for i in index),
            tuple(self.change_norms[i] for i in index),
        )


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


def marks(measured: Measurement, tasks: Mapping[str, str], max_ratio: float) -> tuple[Mark, ...]:
    """Both marks for the updates of one kind."""
    norms = dict(zip(measured.clients, measured.change_norms, strict=True))
    apart = _to_peers(measured, tasks) if measured.to_peers is None else measured.to_peers
    return _mark("norm_outlier", norms, max_ratio), _mark("suspicious", apart, max_ratio)


def flags(measured: Measurement, tasks: Mapping[str, str], max_ratio: float) -> dict[str, tuple[str, ...]]:
    """Client to the marks that it bears; clients without one are left out."""
    found: dict[str, list[str]] = {}
    for mark in marks(measured, tasks, max_ratio):
        for client in mark.bearers:
            found.setdefault(client, []).append(mark.name)
    return {client: tuple(borne) for client, borne in sorted(found.items())}


def _mark(name: str, values: Mapping[str, float], max_ratio: float) -> Mark:
    if len(values) < MIN_PEERS:
        return Mark(name, values)
    middle = median(values.values())
    return Mark(name, values, middle, max_ratio * middle)


def _to_peers(measured: Measurement, tasks: Mapping[str, str]) -> dict[str, float]:
    """The mean distance of each client to the others of its task, if it has any."""
    crowds: dict[str, list[int]] = {}
    for i, client in enumerate(measured.clients):
        crowds.setdefault(tasks[client], []).append(i)
    found = {}
    for members in crowds.values():
        if len(members) > 1:
            distances = itemgetter(*members)
            for k in members:
                # Its distance to itself, which is zero, adds nothing.
                found[measured.clients[k]] = fsum(distances(measured.matrix[k])) / (len(members) - 1)
    return found
