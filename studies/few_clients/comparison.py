"""What the measured runs say, as numbers on the scales of the tables: vqa and grounding in %, captions in 10 x CIDEr-D.

Settings are chosen by `val` and reported on `test`; `merged` and `local` are two points and never mixed. An interval
is over the test samples: each sample's score is first averaged over the seeds, then paired with the other setting's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

import numpy as np
from pilot_aggregator.rounds.report import paired_interval

from studies.few_clients.results import Measured, Outcome

Point = Literal["merged", "local"]
SCALES: Mapping[str, float] = {"caption": 10.0, "grounding": 100.0, "vqa": 100.0}
TASKS = tuple(SCALES)


@dataclass(frozen=True)
class Row:
    """A setting at one point of one split: means and spread over the seeds."""

    tasks: Mapping[str, float]
    mean: float
    """Of the three tasks."""
    spread: float
    """The standard deviation of `mean` over the seeds; 0 for a single one."""


@dataclass(frozen=True)
class Gain:
    """A setting minus another on one task, with its 95 % interval."""

    value: float
    low: float
    high: float


def row(runs: Sequence[Measured], setting: str, split: str, point: Point, number: int = -1) -> Row:
    """Means over the seeds, after round `number` or the last one."""
    found = _of(runs, setting, split)
    means = [fmean(_values(run, point, number).values()) for run in found]
    tasks = {task: fmean(_values(run, point, number)[task] for run in found) for task in TASKS}
    return Row(tasks, fmean(means), stdev(means) if len(means) > 1 else 0.0)


def before(runs: Sequence[Measured], split: str) -> Row:
    """The base model, the same in every run."""
    clients = _of(runs, "local", split)[0].clients
    tasks = {task: _mean(clients, task, lambda outcome: outcome.before) for task in TASKS}
    return Row(tasks, fmean(tasks.values()), 0.0)


def by_seed(runs: Sequence[Measured], setting: str, other: str, point: Point) -> list[float]:
    """The difference of the means on `test`, seed by seed."""
    pairs = zip(_of(runs, setting, "test"), _of(runs, other, "test"), strict=True)
    return [fmean(_values(a, point).values()) - fmean(_values(b, point).values()) for a, b in pairs]


def gain(runs: Sequence[Measured], setting: str, other: str, task: str) -> Gain:
    """`merged` of a setting minus `merged` of another on `test`."""
    first, second = (_scores(_of(runs, name, "test"), task) for name in (other, setting))
    low, high = paired_interval(first, second)
    return Gain(fmean(second) - fmean(first), low, high)


def chosen(runs: Sequence[Measured], settings: Sequence[str]) -> str:
    """The setting with the best mean of `merged` on `val`."""
    return max(settings, key=lambda setting: row(runs, setting, "val", "merged").mean)


def seeds(runs: Sequence[Measured]) -> list[int]:
    """All seeds that were measured."""
    return sorted({run.seed for run in runs})


def _of(runs: Sequence[Measured], setting: str, split: str) -> list[Measured]:
    return sorted((r for r in runs if (r.setting, r.split) == (setting, split)), key=lambda run: run.seed)


def _values(run: Measured, point: Point, number: int = -1) -> dict[str, float]:
    index = number - 1 if number > 0 else number
    return {task: _mean(run.clients, task, lambda outcome: getattr(outcome, point)[index]) for task in TASKS}


def _mean(clients: Mapping[str, Outcome], task: str, value: Callable[[Outcome], float]) -> float:
    members = [outcome for name, outcome in clients.items() if name.rpartition("-")[0] == task]
    return SCALES[task] * fmean(map(value, members))


def _scores(runs: Sequence[Measured], task: str) -> list[float]:
    """Per test sample of all clients of the task, averaged over the seeds."""
    names = [name for name in runs[0].clients if name.rpartition("-")[0] == task]
    per_seed = [[score for name in names for score in run.clients[name].scores] for run in runs]
    return [float(score) for score in SCALES[task] * np.mean(per_seed, axis=0)]
