"""Which lines a report draws: metrics by round, `merged` and `local` in panels of their own. Pure."""

from collections.abc import Iterator, Sequence

from pilot_proto.metrics import unit_of
from pilot_proto.report import ClientReport, TaskReport
from pilot_reports.comparison import Value
from pilot_reports.history import History
from pilot_reports.metric_tables import mean

from pilot_cli.report.plots import Line, Panel, Plot

MOST_LINES = 8
"""Of single clients in one panel; more of them would hide each other, and the mean stands alone."""


def of_run(history: History, number: int) -> Iterator[Plot]:
    """A plot per task: its clients and their mean."""
    for task in history.report.tasks:
        members = [client for client in history.report.clients if client.task == task.task]
        yield Plot(
            key=f"run-{number}-{task.task}",
            title=f"{task.task} of {history.name} by round",
            description=f"Two panels with one scale: {task.metric} by round, of the merged models and of the clients' "
            "own models. The table of metrics holds the same numbers.",
            unit=unit(task.metric),
            panels=_panels([_client_lines(members, task)], task.metric, history.report.rounds),
        )


def side_by_side(histories: Sequence[History]) -> Iterator[Plot]:
    """A plot per task: the mean over its clients, a line per run."""
    tasks = {task.task: task for history in histories for task in history.report.tasks}
    rounds = max(history.report.rounds for history in histories)
    for name, task in sorted(tasks.items()):
        groups = []
        for history in histories:
            members = [client for client in history.report.clients if client.task == name]
            if members:
                groups.append([(history.label, *_mean_points(members), False)])
        yield Plot(
            key=f"all-{name}",
            title=f"{name}: runs side by side",
            description=f"Two panels with one scale: mean {task.metric} over the clients of {name} by round, a line "
            "per run, of the merged models and of the clients' own models.",
            unit=unit(task.metric),
            panels=_panels(groups, task.metric, rounds),
        )


def unit(metric: str) -> str:
    """What the numbers of an axis are."""
    return f"{metric}, %" if unit_of(metric) == "share" else metric


Named = tuple[str, tuple[Value, ...], tuple[Value, ...], bool]
"""name, merged from round 0, local from round 1, whether it stands out"""


def _client_lines(members: Sequence[ClientReport], task: TaskReport) -> list[Named]:
    single: list[Named] = [(c.client, (c.before, *c.merged), c.local, False) for c in members]
    if len(members) == 1:
        return single
    return [*(single if len(members) <= MOST_LINES else []), (f"mean of {task.task}", *_mean_points(members), True)]


def _mean_points(members: Sequence[ClientReport]) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    merged = tuple(mean(column) for column in zip(*((c.before, *c.merged) for c in members), strict=True))
    return merged, tuple(mean(column) for column in zip(*(c.local for c in members), strict=True))


def _panels(groups: Sequence[Sequence[Named]], metric: str, rounds: int) -> tuple[Panel, ...]:
    lines = [line for group in groups for line in group]
    merged = tuple(Line(name, _scaled(values, metric, rounds + 1), strong) for name, values, _, strong in lines)
    local = tuple(Line(name, _scaled(values, metric, rounds), strong) for name, _, values, strong in lines)
    return (
        Panel("merged (round 0: before)", tuple(range(rounds + 1)), merged),
        Panel("local, before each merge", tuple(range(1, rounds + 1)), local),
    )


def _scaled(values: Sequence[Value], metric: str, length: int) -> tuple[Value, ...]:
    factor = 100.0 if unit_of(metric) == "share" else 1.0
    shown = [None if value is None else factor * value for value in values]
    return tuple(shown + [None] * (length - len(shown)))
