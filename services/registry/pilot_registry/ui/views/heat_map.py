"""All distances of a merge as one drawing: a square for each pair, the darker, the closer."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from pilot_proto.base import Stored
from pilot_proto.plan import KindPlan
from pilot_reports.merge_tables import weights_by_client
from pilot_reports.nearness import Nearness

SHADES = 10
LARGEST = 300
"""Clients on a side; of more there would be less to see than to load."""
SIDE = 640
SMALLEST, WIDEST = 2, 16
"""Of one square, in pixels."""

NONE = -1
"""The ground of an upload's distance to itself."""


class Band(Stored):
    """Clients of one task, who stand together."""

    task: str
    first: int
    count: int


class HeatMap(Stored):
    """A drawing of `size` by `size` squares."""

    size: int
    pixels: int
    shades: tuple[str, ...]
    """For each shade, from the farthest to the closest, a path of its squares."""
    chosen: str
    """A path of the squares whose column went into the line's adapter."""
    bands: tuple[Band, ...]


def heat_map(kind: KindPlan) -> HeatMap | None:
    """By task, so that tasks show as blocks; None where the rule looked at no distances, or there are too many."""
    size = len(kind.inputs)
    if kind.distances is None or not 2 <= size <= LARGEST:
        return None
    order = sorted(range(size), key=lambda i: (kind.inputs[i].task, kind.inputs[i].client))
    tasks = [(task, len(list(members))) for task, members in groupby(kind.inputs[i].task for i in order)]
    firsts = [sum(count for _, count in tasks[:i]) for i in range(len(tasks))]
    return HeatMap(
        size=size,
        pixels=size * max(SMALLEST, min(WIDEST, SIDE // size)),
        shades=_shades(_grounds(kind.distances.matrix)[np.ix_(order, order)]),
        chosen=_chosen(kind, order),
        bands=tuple(Band(task=t, first=first, count=n) for (t, n), first in zip(tasks, firsts, strict=True)),
    )


def _grounds(matrix: Sequence[Sequence[float]]) -> NDArray[np.int8]:
    """`Nearness.shade` of all, in whole steps; the palest where all are alike."""
    near = Nearness.between(matrix)
    grounds = np.zeros((len(matrix), len(matrix)), np.int8)
    if near.low < near.pale:
        grounds[:] = np.rint(np.interp(matrix, (near.low, near.pale), (SHADES - 1, 0)))
    np.fill_diagonal(grounds, NONE)
    return grounds


def _shades(grounds: NDArray[np.int8]) -> tuple[str, ...]:
    """Neighbouring squares of one shade are one stroke."""
    paths: list[list[str]] = [[] for _ in range(SHADES)]
    for i, line in enumerate(grounds):
        begins = np.flatnonzero(np.diff(line, prepend=NONE - 1))
        counts = np.diff(begins, append=len(line))
        for ground, at, count in zip(line[begins].tolist(), begins.tolist(), counts.tolist(), strict=True):
            if ground != NONE:
                paths[ground].append(f"M{at} {i}.5h{count}")
    return tuple("".join(path) for path in paths)


def _chosen(kind: KindPlan, order: Sequence[int]) -> str:
    weights = weights_by_client(kind)
    rows = [weights.get(kind.inputs[i].client, ()) for i in order]
    return "".join(
        f"M{x}.3 {y}.5h.4" for y, row in enumerate(rows) for x, j in enumerate(order) if x != y and row and row[j]
    )
