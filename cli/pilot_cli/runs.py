"""Starting runs and steering them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from pilot_client.errors import ApiError
from pilot_proto.run import TERMINAL, RunView

from pilot_cli import documents, watch
from pilot_cli.context import server
from pilot_cli.errors import FAILED, TIMEOUT, USAGE, CommandError
from pilot_cli.estimate.dry_run import dry_run_lines
from pilot_cli.output import Format, console, print_document

File = Annotated[Path, typer.Option("-f", "--file", help="A file; see 'pilot get' for what is there.")]
RunName = Annotated[str, typer.Argument(help="The run's name.")]


def run(
    file: File,
    watch_it: Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it ends.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it expands to; start nothing.")] = False,
    name: Annotated[str | None, typer.Option(help="Another name than the file's.")] = None,
    key: Annotated[
        str | None, typer.Option("--idempotency-key", help="Start once, however often this is sent.")
    ] = None,
) -> None:
    """Start a run. Examples: 'pilot run -f run.yaml --watch', 'pilot run -f run.yaml --dry-run'."""
    written = documents.read(file)
    kind = documents.check(written)
    if kind != "Run":
        raise CommandError(f"{file} describes a {kind}, not a Run", exit_code=USAGE)
    document = {**written.content, "metadata": {"name": name}} if name else written.content
    with server().aggregator() as aggregator:
        try:
            answer = aggregator.create_run(document, key=key, dry_run=dry_run)
        except ApiError as error:
            if error.problem.errors:
                raise documents.located(written, error.problem.errors) from error
            raise
        if dry_run:
            _show_dry_run(answer, aggregator.federation())
            return
        started = RunView.model_validate(answer)
        console.print(f"run/{started.metadata['name']} started", markup=False)
        if watch_it:
            _end(watch.follow(aggregator, started.metadata["name"]))


def trigger(
    run_name: RunName,
    through: Annotated[str, typer.Option(help="Let rounds up to this one start, or 'end'.")] = "end",
) -> None:
    """Let rounds start: for runs with 'advance: manual', or that were held back."""
    wanted: int | str = int(through) if through.isdigit() else through
    with server().aggregator() as aggregator:
        _report(aggregator.trigger(run_name, wanted), "triggered")


def pause(run_name: RunName) -> None:
    """Stop after the round at work is published."""
    with server().aggregator() as aggregator:
        _report(aggregator.pause(run_name), "pausing")


def resume(run_name: RunName) -> None:
    """Go on after a pause."""
    with server().aggregator() as aggregator:
        _report(aggregator.resume(run_name), "resumed")


def cancel(run_name: RunName) -> None:
    """End a run: jobs are stopped, published rounds stay."""
    with server().aggregator() as aggregator:
        _report(aggregator.cancel(run_name), "cancelling")


def retry(
    run_name: RunName,
    client: Annotated[str, typer.Option(help="Whose attempts failed.")],
    round_number: Annotated[int | None, typer.Option("--round", help="Default: the round at work.")] = None,
) -> None:
    """Give a client that failed another try in the round at work."""
    with server().aggregator() as aggregator:
        number = aggregator.run(run_name).status.round if round_number is None else round_number
        _report(aggregator.retry(run_name, number, client), f"retrying {client}")


def verdict(
    run_name: RunName,
    decision: Annotated[str, typer.Argument(help="count or drop")],
    client: Annotated[str, typer.Option(help="Whose update is held.")],
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
) -> None:
    """Decide about an update that the gate held ('admission: {on_flag: hold}')."""
    with server().aggregator() as aggregator:
        number = aggregator.run(run_name).status.round
        _report(aggregator.verdict(run_name, number, client, decision, reason), f"{client}: {decision}")


def wait(
    what: Annotated[str, typer.Argument(help="run/NAME")],
    until: Annotated[str, typer.Option("--for", help="A phase, such as Succeeded.")] = "Succeeded",
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds.")] = 3600,
) -> None:
    """Wait for a phase. Exit code 6 when it does not come in time, 1 when the run ends otherwise."""
    name = what.removeprefix("run/")
    deadline = time.monotonic() + timeout_s
    with server().aggregator() as aggregator:
        while time.monotonic() < deadline:
            found = aggregator.run(name)
            if found.status.phase == until:
                console.print(f"run/{name} is {until}", markup=False)
                return
            if found.status.phase in TERMINAL:
                raise _ended(found)
            time.sleep(0.5)
    raise CommandError(f"run/{name} was not {until} within {timeout_s:g} s", exit_code=TIMEOUT)


def validate(file: File) -> None:
    """Check a run, federation or dataset file without any server: every fault with line and column."""
    written = documents.read(file)
    console.print(f"{file}: a valid {documents.check(written)}", markup=False)


def _show_dry_run(answer: Any, federation: Any) -> None:
    print_document(answer["run"], Format.YAML)
    console.print(f"# clients: {', '.join(answer['clients'])}", markup=False)
    if answer.get("continues"):
        for line in _continuation_lines(answer["continues"]):
            console.print(f"# {line}", markup=False, soft_wrap=True)
    for warning in answer["warnings"]:
        console.print(f"# warning: {warning}", markup=False)
    for line in dry_run_lines(answer, federation):
        console.print(f"# estimate: {line}", markup=False, soft_wrap=True)
    console.print("# nothing was started", markup=False)


def _continuation_lines(found: Any) -> Iterator[str]:
    """What a run with `start_from` takes over, and what is new."""
    yield f"starts from round {found['round']} of {found['run']}"
    for key, what in (
        ("new_clients", "new clients"),
        ("new_tasks", "new tasks"),
        ("left_clients", "clients left out"),
        ("left_tasks", "tasks left out"),
    ):
        if found.get(key):
            yield f"{what}: {', '.join(found[key])}"
    for start in found["clients"]:
        state = start["private_state"] or "no private state"
        yield f"{start['client']}: {start['program']} from {start['connector']}, {start['text']}, {state}"


def _report(view: RunView, what: str) -> None:
    console.print(f"run/{view.metadata['name']} {what} (phase {view.status.phase})", markup=False)


def _end(view: RunView) -> None:
    if view.status.phase != "Succeeded":
        raise _ended(view)
    for condition in view.status.conditions:
        console.print(f"{condition.type}: {condition.reason}: {condition.message}", markup=False, soft_wrap=True)


def _ended(view: RunView) -> CommandError:
    reasons = "\n".join(f"{c.reason}: {c.message}" for c in view.status.conditions)
    return CommandError(
        f"run/{view.metadata['name']} ended: {view.status.phase}",
        why=reasons,
        hint=f"pilot describe run {view.metadata['name']}",
        exit_code=FAILED,
    )
