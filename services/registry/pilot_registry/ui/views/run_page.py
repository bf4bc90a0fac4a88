"""A run's page: its clients now, its rounds, its measurements as curves."""

from collections.abc import Sequence
from statistics import fmean

from pilot_proto.base import Stored
from pilot_proto.local_update import LocalUpdate
from pilot_proto.metrics import unit_of
from pilot_proto.report import ClientReport, RunReport
from pilot_proto.run import TERMINAL, ClientStatus, RunView

from pilot_registry.ui.views.tones import tone

RETRYABLE = frozenset({"Failed", "Lost"})
RETRY_PHASES = frozenset({"Preparing", "Training", "Evaluating"})


class ClientLine(Stored):
    """A client in the round at work."""

    name: str
    task: str
    state: str
    tone: str
    attempt: int = 0
    stage: str = ""
    step: int = 0
    total_steps: int = 0
    loss: float | None = None
    samples_per_s: float | None = None
    eta_s: float | None = None
    reason: str = ""
    message: str = ""
    retryable: bool = False


class Series(Stored):
    label: str
    values: tuple[float | None, ...]


class Plot(Stored):
    """Curves over rounds."""

    title: str
    unit: str
    x: tuple[int, ...]
    series: tuple[Series, ...]


class Verbs(Stored):
    """What a person may do to a run now."""

    trigger: bool = False
    pause: bool = False
    resume: bool = False
    cancel: bool = False


def client_lines(view: RunView) -> tuple[ClientLine, ...]:
    """By task, then by name."""
    phase = view.status.phase
    found = (client_line(client, phase) for client in view.status.clients)
    return tuple(sorted(found, key=lambda line: (line.task, line.name)))


def client_line(client: ClientStatus, phase: str) -> ClientLine:
    told = client.progress
    return ClientLine(
        name=client.name,
        task=client.task,
        state=client.state,
        tone=tone(client.state),
        attempt=client.attempt,
        stage=told.stage if told else "",
        step=told.step if told else 0,
        total_steps=told.total_steps if told else 0,
        loss=told.loss if told else None,
        samples_per_s=told.samples_per_s if told else None,
        eta_s=told.eta_s if told else None,
        reason="" if client.state == "Answered" else client.reason,
        message="" if client.state == "Answered" else client.message,
        retryable=client.state in RETRYABLE and phase in RETRY_PHASES,
    )


def verbs(view: RunView) -> Verbs:
    """By phase and conditions; the aggregator decides again when one is used."""
    if view.status.phase in TERMINAL:
        return Verbs()
    conditions = {condition.type for condition in view.status.conditions}
    paused = "Paused" in conditions
    return Verbs(trigger="AwaitingTrigger" in conditions, pause=not paused, resume=paused, cancel=True)


def metric_plots(report: RunReport) -> tuple[Plot, ...]:
    """For each task: the mean of `merged` and of `local` over its clients, and each client's `merged`."""
    return tuple(plot for task in report.tasks if (plot := _metric_plot(report, task.task, task.metric)))


def _metric_plot(report: RunReport, task: str, metric: str) -> Plot | None:
    members = [client for client in report.clients if client.task == task]
    scale = 100 if metric and unit_of(metric) == "share" else 1
    merged = [_scaled((c.before, *c.merged), scale) for c in members]
    local = [_scaled((None, *c.local), scale) for c in members]
    if not any(value is not None for line in (*merged, *local) for value in line):
        return None
    series = [Series(label="mean merged", values=_means(merged)), Series(label="mean local", values=_means(local))]
    series += [_own(client, line) for client, line in zip(members, merged, strict=True)]
    unit = f"{metric}, %" if scale == 100 else metric
    return Plot(title=task, unit=unit, x=tuple(range(report.rounds + 1)), series=tuple(series))


def _own(client: ClientReport, line: Sequence[float | None]) -> Series:
    return Series(label=client.client, values=tuple(line))


def _scaled(values: Sequence[float | None], scale: int) -> list[float | None]:
    return [None if value is None else value * scale for value in values]


def _means(lines: Sequence[Sequence[float | None]]) -> tuple[float | None, ...]:
    """None where somebody is missing: means of other clients in other rounds would make a curve of who was there."""
    columns = zip(*lines, strict=True)
    return tuple(None if None in column else fmean(v for v in column if v is not None) for column in columns)


def loss_plot(updates: Sequence[LocalUpdate]) -> Plot | None:
    """Every client's mean training loss by round."""
    told = {(u.client, u.round): u.losses["total"].mean for u in updates if "total" in u.losses}
    if not told:
        return None
    rounds = sorted({number for _, number in told})
    clients = sorted({client for client, _ in told})
    series = [Series(label=c, values=tuple(told.get((c, number)) for number in rounds)) for c in clients]
    return Plot(title="Mean training loss by round", unit="loss", x=tuple(rounds), series=tuple(series))
