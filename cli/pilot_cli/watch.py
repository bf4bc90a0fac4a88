"""Following a run: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator

from pilot_client.aggregator import AggregatorClient
from pilot_client.errors import Unreachable
from pilot_proto.run import TERMINAL, ClientStatus, RunView
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pilot_cli.output import console

POLL_S = 0.5
STATE_STYLES = {
    "Answered": "green",
    "Running": "cyan",
    "Pending": "yellow",
    "Held": "yellow",
    "Failed": "red",
    "Lost": "red",
}


def follow(aggregator: AggregatorClient, name: str) -> RunView:
    """Show a run until it ends; its last view."""
    return _live(aggregator, name) if console.is_terminal else _lines(aggregator, name)


def _live(aggregator: AggregatorClient, name: str) -> RunView:
    view = aggregator.run(name)
    with Live(console=console, refresh_per_second=4) as live:
        for view in _views(aggregator, name):
            live.update(Group(_headline(view), _table(view)))
        # What stays on the screen is the outcome, not the last frame.
        live.update(_headline(view))
    return view


def _lines(aggregator: AggregatorClient, name: str) -> RunView:
    view = aggregator.run(name)
    seen: dict[str, str] = {}
    for view in _views(aggregator, name):
        lines = {"": f"{name}: {view.status.phase}, {_round(view)}"}
        lines |= {
            c.name: f"{name}: round {view.status.round}: {c.name} {c.state} {c.message}" for c in view.status.clients
        }
        for key, line in lines.items():
            if seen.get(key) != line:
                seen[key] = line
                console.print(line.rstrip(), markup=False, soft_wrap=True)
    return view


def _views(aggregator: AggregatorClient, name: str) -> Iterator[RunView]:
    while True:
        try:
            view = aggregator.run(name)
        except Unreachable:
            # It restarts, and the run goes on; so does watching it.
            time.sleep(POLL_S)
            continue
        yield view
        if view.status.phase in TERMINAL:
            return
        time.sleep(POLL_S)


def _headline(view: RunView) -> Text:
    text = Text(f"{view.metadata['name']}  ", style="bold")
    text.append(view.status.phase, style="bold cyan")
    text.append(f"  {_round(view)}", style="default")
    for condition in view.status.conditions:
        text.append(f"  {condition.type}", style="yellow")
    return text


def _round(view: RunView) -> str:
    status = view.status
    if status.program == "evaluate":
        return "final evaluation"
    return f"round {status.round} of {status.total_rounds} ({status.program})"


def _table(view: RunView) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("client", "task", "state", "doing"):
        table.add_column(column, no_wrap=True)
    for column in ("step", "loss", "samples/s", "eta"):
        table.add_column(column, justify="right", no_wrap=True)
    for client in view.status.clients:
        table.add_row(*_row(client))
    return table


def _row(client: ClientStatus) -> list[Text | str]:
    told = client.progress if client.state == "Running" else None
    attempt = f" (attempt {client.attempt})" if client.attempt > 1 else ""
    state = Text(client.state + attempt, style=STATE_STYLES.get(client.state, "default"))
    if told is None:
        return [client.name, client.task, state, client.message[:60], "", "", "", ""]
    return [
        client.name,
        client.task,
        state,
        told.stage,
        f"{told.step}/{told.total_steps}" if told.total_steps else "",
        f"{told.loss:.3f}" if told.loss is not None else "",
        f"{told.samples_per_s:.1f}" if told.samples_per_s else "",
        f"{told.eta_s:.0f} s" if told.eta_s is not None else "",
    ]
