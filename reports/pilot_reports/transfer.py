"""What federating gave each client over training alone: a run against a run of method `local`. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from pilot_reports.comparability import comparable_clients, obstacles
from pilot_reports.comparison import Value, last
from pilot_reports.history import History


@dataclass(frozen=True)
class ClientTransfer:
    client: str
    merged: Value
    """The run's merged model less the local run's, both after their last round."""
    local: Value
    """The client's own model less its own model of the local run."""


@dataclass(frozen=True)
class Spread:
    """Over the clients of a task; `deviation` is the sample standard deviation, none for one client."""

    mean: float
    deviation: float | None
    lowest: float
    highest: float


@dataclass(frozen=True)
class TaskTransfer:
    task: str
    metric: str
    clients: tuple[ClientTransfer, ...]
    merged: Spread | None
    local: Spread | None


@dataclass(frozen=True)
class Transfer:
    """A run's gains over one local run, with what stands between them."""

    run: str
    baseline: str
    tasks: tuple[TaskTransfer, ...]
    cautions: tuple[str, ...] = ()


def transfers(histories: Sequence[History]) -> tuple[Transfer, ...]:
    """Every federated run against a local run of its seed, or else against the first local run."""
    local = [history for history in histories if history.method == "local"]
    others = [history for history in histories if history.method != "local"]
    return tuple(_transfer(history, _baseline(history, local)) for history in others) if local else ()


def _baseline(history: History, local: Sequence[History]) -> History:
    return next((candidate for candidate in local if candidate.seed == history.seed), local[0])


def _transfer(history: History, baseline: History) -> Transfer:
    found = obstacles(baseline.view, history.view, (baseline.report, history.report))
    able = comparable_clients(baseline.report, history.report, found)
    cautions = [f"{o.client}: {o.why}" if o.client else o.why for o in found]
    if baseline.seed != history.seed:
        cautions.append(f"seed {history.seed} against seed {baseline.seed}: the difference holds both")
    tasks = tuple(_task(task.task, task.metric, history, baseline, able) for task in history.report.tasks)
    return Transfer(history.name, baseline.name, tasks, tuple(cautions))


def _task(task: str, metric: str, history: History, baseline: History, able: Sequence[str]) -> TaskTransfer:
    alone = {client.client: client for client in baseline.report.clients}
    members = [c for c in history.report.clients if c.task == task and c.client in able]
    clients = tuple(
        ClientTransfer(
            client=c.client,
            merged=_less(last(c.merged), last(alone[c.client].merged)),
            local=_less(last(c.local), last(alone[c.client].local)),
        )
        for c in members
    )
    return TaskTransfer(task, metric, clients, spread([c.merged for c in clients]), spread([c.local for c in clients]))


def spread(values: Sequence[Value]) -> Spread | None:
    """Mean and spread of what is known; none when nothing is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(fmean(known), stdev(known) if len(known) > 1 else None, min(known), max(known))


def _less(value: Value, base: Value) -> Value:
    return None if value is None or base is None else value - base
