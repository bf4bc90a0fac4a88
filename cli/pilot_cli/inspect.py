"""Looking at runs, rounds, clients and adapters."""

import sys
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer
from pilot_client.aggregator import AggregatorClient
from pilot_proto.base import as_json
from pilot_proto.plan import RoundDocument
from pilot_proto.run import RunView
from pilot_reports.numbers import size

from pilot_cli.context import server
from pilot_cli.errors import MISSING, USAGE, CommandError
from pilot_cli.output import Format, Output, age, console, print_document, print_table


class Thing(StrEnum):
    RUNS = "runs"
    ROUNDS = "rounds"
    CLIENTS = "clients"
    ADAPTERS = "adapters"


Rows = tuple[list[str], list[list[str]], list[Any], list[str]]
"""columns, rows, documents, names"""


def get(
    what: Annotated[Thing, typer.Argument(help="runs, rounds, clients or adapters")],
    run: Annotated[str | None, typer.Argument(help="The run, for rounds and clients; default: the newest.")] = None,
    output: Output = Format.TABLE,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Print again when it changes.")] = False,
) -> None:
    """List things. Examples: 'pilot get runs', 'pilot get rounds digits -o json'."""
    shown = None
    while True:
        found = {Thing.RUNS: _runs, Thing.ROUNDS: _rounds, Thing.CLIENTS: _clients, Thing.ADAPTERS: _adapters}[what](
            run, output is Format.WIDE
        )
        if found != shown:
            _print(found, output)
            shown = found
        if not watch:
            return
        time.sleep(1)


class Describable(StrEnum):
    RUN = "run"
    ROUND = "round"
    CLIENT = "client"
    ADAPTER = "adapter"


def describe(
    what: Annotated[Describable, typer.Argument(help="run, round, client or adapter")],
    name: Annotated[str, typer.Argument(help="RUN, RUN/ROUND, RUN/CLIENT, or NAMESPACE/REPOSITORY[@REVISION]")],
    output: Output = Format.YAML,
) -> None:
    """Everything about one thing. Examples: 'pilot describe run digits', 'pilot describe round digits/2'."""
    tell: dict[Describable, Callable[[str], Any]] = {
        Describable.RUN: _describe_run,
        Describable.ROUND: _describe_round,
        Describable.CLIENT: _describe_client,
        Describable.ADAPTER: _describe_adapter,
    }
    print_document(tell[what](name), output)


def logs(
    run: Annotated[str, typer.Argument(help="The run's name.")],
    client: Annotated[str, typer.Option(help="Whose job.")],
    round_number: Annotated[int | None, typer.Option("--round", help="Default: the round at work.")] = None,
) -> None:
    """What a client's newest job printed."""
    with server().aggregator() as aggregator:
        number = aggregator.run(run).status.round if round_number is None else round_number
        sys.stdout.write(aggregator.logs(run, number, client))


def newest(aggregator: AggregatorClient, name: str | None) -> RunView:
    """The run of that name, or the newest.

    Raises:
        CommandError: there is none yet.
    """
    if name is not None:
        return aggregator.run(name)
    page = aggregator.runs(limit=1)
    if not page.items:
        raise CommandError("there are no runs yet", hint="pilot run -f run.yaml", exit_code=MISSING)
    return aggregator.run(page.items[0].metadata["name"])


def _runs(_: str | None, wide: bool) -> Rows:
    items: list[RunView] = []
    cursor = None
    with server().aggregator() as aggregator:
        while True:
            page = aggregator.runs(limit=200, cursor=cursor)
            items += page.items
            cursor = page.next
            if cursor is None:
                break
    columns = ["NAME", "METHOD", "PHASE", "ROUND", "CONDITIONS", "AGE"] + (["MODEL", "UID"] if wide else [])
    rows = [
        [
            view.metadata["name"],
            view.spec.method,
            view.status.phase,
            f"{min(view.status.round, view.status.total_rounds)}/{view.status.total_rounds}",
            ",".join(c.type for c in view.status.conditions) or "-",
            age(view.status.created_at),
        ]
        + ([view.spec.model, view.status.uid] if wide else [])
        for view in items
    ]
    return columns, rows, [as_json(view) for view in items], [f"run/{view.metadata['name']}" for view in items]


def _rounds(name: str | None, wide: bool) -> Rows:
    with server().aggregator() as aggregator:
        found = aggregator.rounds(newest(aggregator, name).metadata["name"])
    columns = ["ROUND", "PROGRAM", "STATE", "COUNTED", "OUTPUTS"] + (["LEFT OUT"] if wide else [])
    rows = [_round_row(round) + ([_left_out(round)] if wide else []) for round in found]
    return columns, rows, [as_json(round) for round in found], [f"round/{r.run}/{r.round}" for r in found]


def _round_row(round: RoundDocument) -> list[str]:
    entries = round.ledger.entries if round.ledger else ()
    counted = f"{sum(e.counted for e in entries)}/{len(entries)}" if entries else "-"
    return [str(round.round), round.program, round.state, counted, str(len(round.outputs))]


def _left_out(round: RoundDocument) -> str:
    entries = round.ledger.entries if round.ledger else ()
    return ", ".join(f"{e.client} ({e.reason})" for e in entries if not e.counted) or "-"


def _clients(name: str | None, wide: bool) -> Rows:
    with server().aggregator() as aggregator:
        view = newest(aggregator, name)
    columns = ["CLIENT", "TASK", "STATE", "ATTEMPT", "STEP", "LOSS"] + (["MESSAGE"] if wide else [])
    rows = []
    for client in view.status.clients:
        told = client.progress
        rows.append(
            [
                client.name,
                client.task,
                client.state,
                str(client.attempt),
                f"{told.step}/{told.total_steps}" if told else "-",
                f"{told.loss:.3f}" if told and told.loss is not None else "-",
            ]
            + ([client.message or "-"] if wide else [])
        )
    documents = [as_json(client) for client in view.status.clients]
    return columns, rows, documents, [f"client/{client.name}" for client in view.status.clients]


def _adapters(run: str | None, wide: bool) -> Rows:
    items: list[Any] = []
    cursor = None
    with server().registry() as registry:
        while True:
            wanted = {"run": run, "limit": 200, "cursor": cursor}
            page = registry.get("adapters", **{key: value for key, value in wanted.items() if value})
            items += page["items"]
            cursor = page.get("next")
            if cursor is None:
                break
    columns = ["REPOSITORY", "ROUND", "KIND", "COMMIT", "SIZE"] + (["STATE", "ALIASES"] if wide else [])
    rows = []
    for item in items:
        rows.append(
            [
                item["repo"],
                str(item["round"]),
                item["kind"],
                item["commit"][:12],
                size(sum(file["size"] for file in item["files"].values())),
            ]
            + ([item.get("state", "-"), ",".join(item.get("aliases", [])) or "-"] if wide else [])
        )
    return columns, rows, items, [f"{item['repo']}@{item['commit']}" for item in items]


def _print(found: Rows, output: Format) -> None:
    columns, rows, documents, names = found
    if output in (Format.JSON, Format.YAML):
        print_document({"items": documents}, output)
    elif output is Format.NAME:
        sys.stdout.writelines(f"{name}\n" for name in names)
    elif not rows:
        console.print("nothing yet")
    else:
        print_table(columns, rows, right=("SIZE", "LOSS"))


def _describe_run(name: str) -> Any:
    with server().aggregator() as aggregator:
        return as_json(aggregator.run(name))


def _describe_round(name: str) -> Any:
    run, number = _two(name, "RUN/ROUND")
    if not number.isdigit():
        raise CommandError(f"{number!r} is not a round", hint="RUN/ROUND, such as digits/2", exit_code=USAGE)
    with server().aggregator() as aggregator:
        return as_json(aggregator.round(run, int(number)))


def _describe_client(name: str) -> Any:
    run, client = _two(name, "RUN/CLIENT")
    with server().aggregator() as aggregator:
        view = aggregator.run(run)
        now = next((c for c in view.status.clients if c.name == client), None)
        if now is None:
            known = ", ".join(c.name for c in view.status.clients)
            raise CommandError(f"{client!r} is no client of {run!r}", hint=f"clients: {known}", exit_code=MISSING)
        part = {
            round.round: next((as_json(e) for e in round.ledger.entries if e.client == client), None)
            for round in aggregator.rounds(run)
            if round.ledger
        }
    return {"now": as_json(now), "rounds": part}


def _describe_adapter(name: str) -> Any:
    repo, _, revision = name.partition("@")
    with server().registry() as registry:
        return registry.get(f"adapters/{repo}/versions/{revision or 'main'}")


def _two(name: str, form: str) -> tuple[str, str]:
    first, slash, second = name.partition("/")
    if not slash:
        raise CommandError(f"{name!r} is not of the form {form}", exit_code=USAGE)
    return first, second
