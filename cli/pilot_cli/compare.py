"""`pilot compare`: what differs between two runs, and what came of it."""

from typing import Annotated

import typer
from pilot_reports import comparison
from pilot_reports.comparability import Obstacle
from pilot_reports.comparison import Comparison, Point, TaskComparison
from pilot_reports.numbers import change, score
from pilot_reports.specs import written
from rich.table import Table

from pilot_cli.context import server
from pilot_cli.output import Format, Output, console, print_document, print_table
from pilot_cli.report.gathering import report_with_scores


def compare(
    first: Annotated[str, typer.Argument(help="A run.")],
    second: Annotated[str, typer.Argument(help="Another.")],
    output: Output = Format.TABLE,
) -> None:
    """Two runs: what differs in their specs, and their metrics, each point with its like.

    Differences are SECOND - FIRST. Examples: 'pilot compare digits digits-local', 'pilot compare a b -o json'.
    """
    with server().aggregator() as aggregator:
        views = (aggregator.run(first), aggregator.run(second))
        reports = (report_with_scores(aggregator, first), report_with_scores(aggregator, second))
    found = comparison.compare(views, reports)
    if output in (Format.JSON, Format.YAML):
        print_document(comparison.as_document(found), output)
        return
    _print_specs(found)
    _print_obstacles(found.obstacles)
    console.print(table(found))
    _print_gains(found)


def table(found: Comparison) -> Table:
    """Per task and client: both runs at both points; the difference on the task's line has its interval."""
    names = [view.metadata["name"] for view in found.runs]
    made = Table(title=f"{names[0]} beside {names[1]}", title_justify="left", box=None, pad_edge=False)
    for column in ("task", "client", "metric"):
        made.add_column(column, no_wrap=True)
    for point in ("before", "merged", "local"):
        for name in names:
            made.add_column(f"{point}\n{name}", justify="right", no_wrap=True)
        if point != "before":
            made.add_column(f"{point}\nchange", justify="right", no_wrap=True)
    for task in found.tasks:
        made.add_row(*_task_row(task), style="bold")
        for client in (c for c in found.clients if c.task == task.task):
            cells = [score(v, client.metric) for v in (client.before.first, client.before.second)]
            cells += [*_cells(client.merged, client.metric), *_cells(client.local, client.metric)]
            made.add_row("", client.client, "", *cells)
    return made


def _task_row(task: TaskComparison) -> list[str]:
    merged = _cells(task.merged, task.metric)
    if task.interval is not None:
        low, high = (change(bound, task.metric) for bound in task.interval)
        merged[-1] += f" [{low}, {high}]"
    return [task.task, f"mean of {task.merged.clients}", task.metric, "", "", *merged, *_cells(task.local, task.metric)]


def _cells(point: Point, metric: str) -> list[str]:
    return [score(point.first, metric), score(point.second, metric), change(point.difference, metric)]


def _print_specs(found: Comparison) -> None:
    if not found.spec:
        console.print("the specs are the same\n")
        return
    names = [view.metadata["name"].upper() for view in found.runs]
    rows = [[d.path, written(d.first), written(d.second)] for d in found.spec]
    print_table(["FIELD", *names], rows)
    console.print()


def _print_gains(found: Comparison) -> None:
    """What each run gained over its own beginning, with all its clients."""
    names = [view.metadata["name"].upper() for view in found.runs]
    rows = [[task.task, *(change(gain, task.metric) for gain in task.gains)] for task in found.tasks]
    console.print()
    print_table(["MERGED - BEFORE", *names], rows, right=names)


def _print_obstacles(obstacles: tuple[Obstacle, ...]) -> None:
    for obstacle in obstacles:
        kind = "not comparable" if obstacle.forbids else "note"
        whom = f"{obstacle.client}: " if obstacle.client else ""
        console.print(f"{kind}: {whom}{obstacle.why} [{obstacle.code}]", markup=False, soft_wrap=True)
    if obstacles:
        console.print()
