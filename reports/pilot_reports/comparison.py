"""Two runs side by side: `merged` against `merged`, `local` against `local`, never across. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pilot_proto.report import ClientReport, RunReport, TaskReport
from pilot_proto.run import RunView

from pilot_reports.bootstrap import paired_interval
from pilot_reports.comparability import Obstacle, comparable_clients, obstacles
from pilot_reports.specs import Difference, differences

Value = float | None


@dataclass(frozen=True)
class Point:
    """One figure of both runs; `difference` is second - first where both may be compared."""

    first: Value
    second: Value
    difference: Value = None
    clients: int = 1
    """Over how many a mean is: those that both runs measured."""


@dataclass(frozen=True)
class ClientComparison:
    client: str
    task: str
    metric: str
    before: Point
    merged: Point
    local: Point
    comparable: bool


@dataclass(frozen=True)
class TaskComparison:
    """Means over the clients that may be compared; all None without any."""

    task: str
    metric: str
    gains: tuple[Value, Value]
    """Of each run's `merged` over its own `before`, over all its clients, as its report has it."""
    merged: Point
    local: Point
    interval: tuple[float, float] | None = None
    """Paired bootstrap, 95 %, of the difference of `merged`; none without scores per sample."""


@dataclass(frozen=True)
class Comparison:
    runs: tuple[RunView, RunView]
    spec: tuple[Difference, ...]
    obstacles: tuple[Obstacle, ...]
    clients: tuple[ClientComparison, ...]
    tasks: tuple[TaskComparison, ...]


def compare(views: tuple[RunView, RunView], reports: tuple[RunReport, RunReport]) -> Comparison:
    """Two runs; scores per sample in the reports give intervals."""
    found = obstacles(*views, reports)
    able = comparable_clients(*reports, found)
    first, second = ({client.client: client for client in report.clients} for report in reports)
    clients = tuple(_client(first.get(n), second.get(n), n in able) for n in sorted(first.keys() | second.keys()))
    tasks = sorted({client.task for report in reports for client in report.clients})
    return Comparison(
        runs=views,
        spec=differences(views[0].spec, views[1].spec),
        obstacles=found,
        clients=clients,
        tasks=tuple(_task(task, reports, able) for task in tasks),
    )


def as_document(comparison: Comparison) -> dict[str, Any]:
    """What `-o json` prints."""
    return {
        "runs": [
            {"run": v.metadata["name"], "uid": v.status.uid, "method": v.spec.method, "phase": v.status.phase}
            for v in comparison.runs
        ],
        "spec": [vars(difference) for difference in comparison.spec],
        "not_comparable": [_obstacle(o) for o in comparison.obstacles if o.forbids],
        "notes": [_obstacle(o) for o in comparison.obstacles if not o.forbids],
        "clients": [_plain(client) for client in comparison.clients],
        "tasks": [_plain(task) for task in comparison.tasks],
    }


def _obstacle(obstacle: Obstacle) -> dict[str, Any]:
    return {"code": obstacle.code, "client": obstacle.client, "why": obstacle.why}


def _plain(value: ClientComparison | TaskComparison) -> dict[str, Any]:
    return {
        name: vars(item) if isinstance(item, Point) else list(item) if isinstance(item, tuple) else item
        for name, item in vars(value).items()
    }


def last(values: Sequence[Value]) -> Value:
    """The value of the last round, none where it was not measured."""
    return values[-1] if values else None


def _client(one: ClientReport | None, other: ClientReport | None, able: bool) -> ClientComparison:
    known = one or other
    assert known is not None
    return ClientComparison(
        client=known.client,
        task=known.task,
        metric=known.metric,
        before=_point(one.before if one else None, other.before if other else None, able),
        merged=_point(last(one.merged) if one else None, last(other.merged) if other else None, able),
        local=_point(last(one.local) if one else None, last(other.local) if other else None, able),
        comparable=able,
    )


def _point(first: Value, second: Value, able: bool) -> Point:
    if not able or first is None or second is None:
        return Point(first, second)
    return Point(first, second, second - first)


def _task(task: str, reports: tuple[RunReport, RunReport], able: Sequence[str]) -> TaskComparison:
    first, second = ([c for c in r.clients if c.task == task and c.client in able] for r in reports)
    totals = [next((t for t in report.tasks if t.task == task), None) for report in reports]
    return TaskComparison(
        task=task,
        metric=next((total.metric for total in totals if total), ""),
        gains=(_gain(totals[0]), _gain(totals[1])),
        merged=_mean_point([last(c.merged) for c in first], [last(c.merged) for c in second]),
        local=_mean_point([last(c.local) for c in first], [last(c.local) for c in second]),
        interval=_interval(first, second),
    )


def _gain(total: TaskReport | None) -> Value:
    return total.gain if total else None


def _mean_point(first: Sequence[Value], second: Sequence[Value]) -> Point:
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if not pairs:
        return Point(None, None, clients=0)
    one, other = fmean(a for a, _ in pairs), fmean(b for _, b in pairs)
    return Point(one, other, other - one, len(pairs))


def _interval(first: Sequence[ClientReport], second: Sequence[ClientReport]) -> tuple[float, float] | None:
    one: list[float] = []
    other: list[float] = []
    for a, b in zip(first, second, strict=True):
        ours, theirs = ((c.scores or {}).get("merged", ()) for c in (a, b))
        # Without the same number of samples there is nothing to pair.
        if len(ours) == len(theirs):
            one += ours
            other += theirs
    return paired_interval(one, other) if one else None
