"""The result of a run as a table: before, merged and local, per client and task."""

from collections.abc import Sequence

from pilot_client.aggregator import AggregatorClient
from pilot_proto.report import ClientReport, RunReport, TaskReport
from pilot_reports.numbers import change, score
from rich.table import Table
from rich.text import Text


def read(aggregator: AggregatorClient, name: str, *, scores: bool = False) -> RunReport:
    """A run's report, as far as it has come."""
    return RunReport.model_validate(aggregator.report(name, scores=scores))


def of_client(aggregator: AggregatorClient, name: str, client: str) -> ClientReport | None:
    """What was measured of one client so far."""
    return next((found for found in read(aggregator, name).clients if found.client == client), None)


def table(report: RunReport) -> Table:
    """Per client and task; the gain of `merged` over `before` with its interval on the task's line."""
    made = _frame(f"{report.run}: {report.method}, {report.rounds} rounds")
    for column in ("before", "merged", "local"):
        made.add_column(column, justify="right", no_wrap=True)
    made.add_column("merged - before, 95 % interval", justify="right", no_wrap=True)
    for task in report.tasks:
        made.add_row(*_task_row(task), style="bold")
        for client in report.clients:
            if client.task == task.task:
                made.add_row(*_client_row(client))
    return made


def comparison(report: RunReport, others: Sequence[RunReport]) -> Table:
    """`merged` and `local` of several runs side by side, because each must be compared with its like."""
    made = _frame(f"{report.run} beside {', '.join(other.run for other in others)}")
    made.add_column("before", justify="right", no_wrap=True)
    for each in (report, *others):
        made.add_column(f"{each.method}\nmerged", justify="right", no_wrap=True)
        made.add_column(f"{each.method}\nlocal", justify="right", no_wrap=True)
    for task in report.tasks:
        same = [next((t for t in each.tasks if t.task == task.task), None) for each in (report, *others)]
        cells = [score(value, task.metric) for t in same for value in ((t.merged, t.local) if t else (None, None))]
        made.add_row(task.task, "", task.metric, score(task.before, task.metric), *cells, style="bold")
        for client in (c for c in report.clients if c.task == task.task):
            made.add_row("", client.client, "", score(client.before, client.metric), *_beside(client, report, others))
    return made


def _beside(client: ClientReport, report: RunReport, others: Sequence[RunReport]) -> list[str]:
    cells = []
    for each in (report, *others):
        found = next((c for c in each.clients if c.client == client.client), None)
        values = (found.merged[-1], found.local[-1]) if found else (None, None)
        cells += [score(value, client.metric) for value in values]
    return cells


def _frame(title: str) -> Table:
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("task", "client", "metric"):
        made.add_column(column, no_wrap=True)
    return made


def _task_row(task: TaskReport) -> list[str | Text]:
    values = [score(value, task.metric) for value in (task.before, task.merged, task.local)]
    return [task.task, "", task.metric, *values, _interval(task)]


def _client_row(client: ClientReport) -> list[str]:
    values = (client.before, client.merged[-1], client.local[-1])
    return ["", client.client, "", *(score(value, client.metric) for value in values), ""]


def _interval(task: TaskReport) -> Text:
    if task.gain is None or task.interval is None:
        return Text("-")
    low, high = task.interval
    text = f"{change(task.gain, task.metric)}  [{change(low, task.metric)}, {change(high, task.metric)}]"
    return Text(text, style="green" if low > 0 else "red" if high < 0 else "yellow")
