"""Metrics as tables: by round, runs side by side, and transfer against training alone. Pure."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from pilot_proto.plan import TaskMean
from pilot_proto.report import ClientReport

from pilot_reports.comparison import Value, last
from pilot_reports.history import History
from pilot_reports.numbers import change, score
from pilot_reports.tables import MISSING, Cell, Row, Table, gain, row, value
from pilot_reports.transfer import Spread, TaskTransfer, Transfer

PARTLY = "A number in brackets says over how many clients a mean is, where not all were measured."


def mean(values: Sequence[Value]) -> Value:
    """None unless all are known: means of other clients in other rounds would make a curve of who was there."""
    known = [each for each in values if each is not None]
    return fmean(known) if known and len(known) == len(values) else None


def by_round(history: History) -> Table:
    """Clients by points: `merged` of every round, then `local` of every round."""
    rounds = range(1, history.report.rounds + 1)
    columns = ("client", "metric", "before", *(f"merged {n}" for n in rounds), *(f"local {n}" for n in rounds))
    rows: list[Row] = []
    for task in history.report.tasks:
        members = [client for client in history.report.clients if client.task == task.task]
        means = [_mean_cell(column, task.metric) for column in zip(*map(_points, members), strict=True)]
        rows.append(row(task.task, task.metric, *means, strong=True))
        rows += [row(c.client, "", *(value(v, c.metric) for v in _points(c))) for c in members]
    return Table(
        caption=f"Metrics of {history.name} by round",
        columns=columns,
        rows=tuple(rows),
        text_columns=2,
        note="Bold: means over a task's clients. merged r: what round r published. local r: the client's own model "
        f"after its update of round r, before the merge. {PARTLY}",
    )


def task_means(means: Sequence[TaskMean]) -> Table:
    """What the clients of a round measured, by task: means that tell of no single client."""
    rows = [
        row(m.task, f"{m.point} {m.round}", m.metric, m.split, value(m.value, m.metric), str(m.clients), str(m.samples))
        for m in means
    ]
    return Table(
        caption="Measured in this round: means over the clients of a task",
        columns=("task", "point", "metric", "split", "mean", "clients", "samples"),
        rows=tuple(rows),
        text_columns=4,
        note="merged r: what round r published. local r: the clients' own models after their update of round r. "
        "A task of which only one client measured something is left out.",
    )


def gains(history: History) -> Table:
    """Per task: what the run gained over its own beginning."""
    rows: list[Row] = []
    for task in history.report.tasks:
        members = [client for client in history.report.clients if client.task == task.task]
        ends = zip(*((c.before, last(c.merged), last(c.local)) for c in members), strict=True)
        gained = gain(task.gain, task.metric), _interval(task.interval, task.metric)
        rows.append(row(task.task, task.metric, *(_mean_cell(end, task.metric) for end in ends), *gained))
    columns = ("task", "metric", "before", "merged", "local", "merged \N{MINUS SIGN} before", "95 % interval")
    note = (
        "The gain and its interval are over the samples that were measured before and after (paired bootstrap): they "
        f"speak of these samples, not of other seeds. {PARTLY}"
    )
    return Table(f"What {history.name} gained", columns, tuple(rows), text_columns=2, note=note)


def side_by_side(histories: Sequence[History]) -> Table:
    """Clients by runs after the last round: all `merged`, then all `local`, because each is compared with its like."""
    names = [history.name for history in histories]
    columns = ("client", "metric", *(f"{point}: {name}" for point in ("before", "merged", "local") for name in names))
    metrics = {task.task: task.metric for history in histories for task in history.report.tasks}
    clients = {c.client: c.task for history in histories for c in history.report.clients}
    rows: list[Row] = []
    for task in sorted(metrics):
        members = sorted(client for client, of in clients.items() if of == task)
        cells = [_ends(histories, client) for client in members]
        rows.append(row(task, metrics[task], *_common_means(cells, len(histories), metrics[task]), strong=True))
        rows += [
            row(client, "", *(value(v, metrics[task]) for v in ends))
            for client, ends in zip(members, cells, strict=True)
        ]
    note = f"Bold: means over the clients that every run measured. {PARTLY}"
    return Table("Runs side by side, after their last round", columns, tuple(rows), text_columns=2, note=note)


def transfer(found: Transfer) -> Table:
    """Clients by tasks: the gain over training alone, with each task's mean and spread."""
    rows: list[Row] = []
    for task in found.tasks:
        rows.append(_task_row(task))
        rows += [
            row(c.client, "", gain(c.merged, task.metric), "", gain(c.local, task.metric), "") for c in task.clients
        ]
    return Table(
        caption=f"Gain of {found.run} over {found.baseline}, by client",
        columns=("client", "metric", "merged", "merged: spread", "local", "local: spread"),
        rows=tuple(rows),
        text_columns=2,
        note="merged against merged and local against local, after the last round of each run. Bold: the mean over a "
        "task's clients. Spread: standard deviation over clients, and the lowest and highest client.",
    )


def _points(client: ClientReport) -> tuple[Value, ...]:
    return (client.before, *client.merged, *client.local)


def _ends(histories: Sequence[History], client: str) -> list[Value]:
    found = [next((c for c in history.report.clients if c.client == client), None) for history in histories]
    ends = [(c.before, last(c.merged), last(c.local)) if c else (None, None, None) for c in found]
    return [end[point] for point in range(3) for end in ends]


def _mean_cell(values: Sequence[Value], metric: str) -> Cell:
    """A mean of what is known, with the number of clients where some are not."""
    known = [each for each in values if each is not None]
    if not known or len(known) == len(values):
        return value(mean(known), metric)
    return Cell(f"{score(fmean(known), metric)} ({len(known)})", tone="quiet")


def _common_means(cells: Sequence[Sequence[Value]], runs: int, metric: str) -> Iterator[Cell]:
    """By point and run, each over the clients that all runs have measured at that point."""
    for point in range(3):
        ends = [line[point * runs : (point + 1) * runs] for line in cells]
        known = [end if None not in end else (None,) * runs for end in ends]
        yield from (_mean_cell(column, metric) for column in zip(*known, strict=True))


def _task_row(task: TaskTransfer) -> Row:
    cells: list[Cell] = []
    for each in (task.merged, task.local):
        cells += [gain(each.mean if each else None, task.metric), _spread(each, task.metric)]
    return row(task.task, task.metric, *cells, strong=True)


def _spread(spread: Spread | None, metric: str) -> Cell:
    if spread is None or spread.deviation is None:
        return Cell(MISSING, tone="quiet")
    low, high = change(spread.lowest, metric), change(spread.highest, metric)
    deviation = change(spread.deviation, metric).removeprefix("+")
    return Cell(f"\N{PLUS-MINUS SIGN}{deviation} [{low}, {high}]".replace("-", "\N{MINUS SIGN}"))


def _interval(interval: tuple[float, float] | None, metric: str) -> Cell:
    if interval is None:
        return Cell(MISSING, tone="quiet")
    low, high = (change(bound, metric) for bound in interval)
    return Cell(f"[{low}, {high}]".replace("-", "\N{MINUS SIGN}"))
