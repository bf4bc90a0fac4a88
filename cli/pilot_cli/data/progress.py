"""How far a long piece of work is, on stderr: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pilot_cli.output import complaints

LINE_EVERY_S = 5.0

Report = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and of how many."""


@contextmanager
def reporting(console: Console = complaints, now: Callable[[], float] = time.monotonic) -> Iterator[Report]:
    """Something to tell progress to, for as long as the work takes."""
    if not console.is_terminal:
        yield _lines(console, now)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        yield _bars(bars)


def _bars(bars: Progress) -> Report:
    tasks: dict[str, TaskID] = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total)
        bars.update(tasks[what], completed=done, total=total)

    return report


def _lines(console: Console, now: Callable[[], float]) -> Report:
    last = now()

    def report(what: str, done: int, total: int) -> None:
        nonlocal last
        if now() - last >= LINE_EVERY_S:
            last = now()
            console.print(f"{what}: {done} of {total}", markup=False)

    return report
