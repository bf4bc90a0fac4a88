"""What single rounds came to: both points of one round, or each point of two rounds side by side. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from pilot_proto.report import ClientReport, RunReport

from pilot_reports.comparison import Value
from pilot_reports.metric_tables import mean
from pilot_reports.tables import Cell, Row, Table, gain, row, value

POINTS = ("merged", "local")


@dataclass(frozen=True)
class Measured:
    """A round of a run, and whom something of it was made for."""

    report: RunReport
    round: int
    client: str | None = None
    task: str | None = None

    @property
    def label(self) -> str:
        return f"{self.report.run} {self.round}"

    @property
    def clients(self) -> list[ClientReport]:
        """The one client, those of the task, or everybody."""
        if self.client is not None:
            return [each for each in self.report.clients if each.client == self.client]
        return [each for each in self.report.clients if self.task in (None, each.task)]

    def value(self, client: ClientReport, point: str) -> Value:
        """None where the run has not come so far; of round 0 there is what was before, and nothing local."""
        if self.round == 0:
            return client.before if point == "merged" else None
        known = client.merged if point == "merged" else client.local
        return known[self.round - 1] if self.round <= len(known) else None


def at_round(of: Measured) -> Table:
    """Clients by points: before the run, what the round published, their own models before its merge."""
    rows: list[Row] = []
    for task in of.report.tasks:
        members = [client for client in of.clients if client.task == task.task]
        points = [(c.before, of.value(c, "merged"), of.value(c, "local")) for c in members]
        if len(members) > 1:
            rows.append(row(task.task, task.metric, *_means(points, task.metric), strong=True))
        rows += [
            row(c.client, c.metric, *(value(each, c.metric) for each in ends))
            for c, ends in zip(members, points, strict=True)
        ]
    merged, local = (f"{point} {of.round}" for point in POINTS)
    return Table(
        caption=f"Round {of.round} of {of.report.run}",
        columns=("client", "metric", "before", merged, local),
        rows=tuple(rows),
        text_columns=2,
        note=f"{merged}: what round {of.round} published, measured in the round after. {local}: a client's own model "
        "after its update, before the merge. The two are never mixed. Bold: means over a task's clients.",
    )


def between(a: Measured, b: Measured) -> Table:
    """Clients that both measured by the same metric: merged beside merged, local beside local, each with its change."""
    known = {(client.client, client.metric): client for client in b.clients}
    rows: list[Row] = []
    for mine in a.clients:
        theirs = known.get((mine.client, mine.metric))
        pairs = [(a.value(mine, point), b.value(theirs, point)) for point in POINTS] if theirs else []
        if any(None not in pair for pair in pairs):
            rows.append(row(mine.client, mine.metric, *(cell for pair in pairs for cell in _pair(*pair, mine.metric))))
    columns = (each for point in POINTS for each in (f"{point}: {a.label}", f"{point}: {b.label}", "change"))
    return Table(
        caption="What both measured",
        columns=("client", "metric", *columns),
        rows=tuple(rows),
        text_columns=2,
        note="merged against merged and local against local: comparing one with the other would say nothing.",
    )


def _pair(before: Value, after: Value, metric: str) -> tuple[Cell, Cell, Cell]:
    change = None if before is None or after is None else after - before
    return value(before, metric), value(after, metric), gain(change, metric)


def _means(points: Sequence[tuple[Value, ...]], metric: str) -> list[Cell]:
    return [value(mean(column), metric) for column in zip(*points, strict=True)]
