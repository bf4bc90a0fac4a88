"""`pilot clients`: who takes part. On one machine the file is edited in place; a running service sees it by itself."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pilot_proto.federation import Federation
from pilot_proto.problem import InvalidDocument, validated

from pilot_cli import documents
from pilot_cli.context import elsewhere, find_endpoint, server
from pilot_cli.errors import MISSING, USAGE, CommandError
from pilot_cli.federation_text import CannotEdit, with_disabled, with_entry
from pilot_cli.output import Format, Output, console, print_document, print_table

clients = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who takes part: list, add, disable, enable.")

FederationOption = Annotated[
    Path | None, typer.Option("--federation", help="federation.yaml; default: that of the deployment of this folder.")
]
ClientName = Annotated[str, typer.Argument(help="The client's name.")]


@clients.command("ls")
def list_clients(output: Output = Format.TABLE) -> None:
    """Every client of the federation, and whether its file as it is now is in force."""
    with server().aggregator() as aggregator:
        view = aggregator.federation()
    found = [_row(client) for client in view["spec"]["clients"]]
    if output in (Format.JSON, Format.YAML):
        print_document({"items": found, "error": view["status"]["error"]}, output)
    elif output is Format.NAME:
        typer.echo("\n".join(f"client/{client['name']}" for client in found))
    else:
        print_table(["CLIENT", "TASK", "STATE", "DATA"], [[c["name"], c["task"], c["state"], c["data"]] for c in found])
    if error := view["status"]["error"]:
        console.print(f"The file as it is now is not in force: {error}", markup=False, soft_wrap=True)


@clients.command("add")
def add(
    name: ClientName,
    task: Annotated[str, typer.Option(help="One that the federation has, or with --new-task a new one.")],
    data: Annotated[Path, typer.Option(help="The folder of its dataset.yaml.")],
    new_task: Annotated[bool, typer.Option("--new-task", help="Add the task too.")] = False,
    federation: FederationOption = None,
) -> None:
    """Add a client to federation.yaml, and make its key. New runs see it at once; running ones keep whom they have."""
    place = _place(federation)
    entry = {"name": name, "task": task, "data": _written(data, place.file)}

    def edit(text: str) -> str:
        grown = with_entry(text, "tasks", {"name": task}) if new_task else text
        return with_entry(grown, "clients", entry)

    def wanted(document: Any) -> None:
        document["spec"]["tasks"] += [{"name": task}] if new_task else []
        document["spec"]["clients"].append(entry)

    if not (data / "dataset.yaml").is_file():
        hint = "'pilot data import' writes one; then 'pilot data validate' checks it"
        raise CommandError(f"{data} holds no dataset.yaml", hint=hint, exit_code=USAGE)
    _check_dataset(data, task)
    _edit(place.file, edit, wanted)
    _make_keys(place)
    console.print(f"client/{name} added to {place.file}", markup=False, soft_wrap=True)
    console.print("New runs with 'clients: all' have it. To go on from a run: 'start_from' in the new run's spec.")


@clients.command("disable")
def disable(name: ClientName, federation: FederationOption = None) -> None:
    """Let a client take part in no new run. Runs that are going on keep it."""
    _switch(name, True, federation)


@clients.command("enable")
def enable(name: ClientName, federation: FederationOption = None) -> None:
    """Let a client take part again, in new runs."""
    _switch(name, False, federation)


@dataclass(frozen=True)
class _Place:
    """A federation file, and the keys of the deployment that it belongs to, if one is known here."""

    file: Path
    keys: Path | None


def _place(given: Path | None) -> _Place:
    """The file that was named, or that of the deployment of this folder; its keys if both are the same."""
    known = _local_deployment()
    if known is None and given is None:
        raise CommandError(
            "no federation file is known here",
            why="on a cluster the federation comes from the chart's values, and a file here would change nothing",
            hint="change the values and run 'helm upgrade': the services see it without a restart. "
            "On one machine: stand in the folder of 'pilot up', or give --federation FILE",
            exit_code=MISSING,
        )
    if known is None or (given is not None and given.resolve() != known.file.resolve()):
        assert given is not None
        return _Place(given, None)
    return known


def _local_deployment() -> _Place | None:
    if elsewhere():
        return None
    try:
        known = json.loads(find_endpoint().read_text())
    except CommandError:
        return None
    return _Place(Path(known["federation"]), Path(known["keys"]))


def _switch(name: str, disabled: bool, federation: Path | None) -> None:
    place = _place(federation)
    known = _federation(place.file)
    names = [client["name"] for client in known["spec"]["clients"]]
    if name not in names:
        raise CommandError(f"there is no client {name!r}", hint=f"clients: {', '.join(names)}", exit_code=MISSING)

    def wanted(document: Any) -> None:
        entry = next(client for client in document["spec"]["clients"] if client["name"] == name)
        if disabled or "disabled" in entry:
            entry["disabled"] = disabled

    _edit(place.file, lambda text: with_disabled(text, name, disabled), wanted)
    now = "disabled" if disabled else "enabled"
    console.print(f"client/{name} {now} in {place.file}", markup=False, soft_wrap=True)
    if place.keys is not None:
        _tell_running(name)


def _edit(file: Path, edit: Callable[[str], str], wanted: Callable[[Any], None]) -> None:
    """Change a federation file, or leave it as it is and say why."""
    document = _federation(file)
    wanted(document)
    try:
        changed = edit(file.read_text())
    except CannotEdit as error:
        raise _by_hand(file, str(error)) from error
    _check_result(file, document)
    if yaml.safe_load(changed) != document:
        raise _by_hand(file, "the file is written in a way that an edit in place would not survive")
    _replace(file.resolve(), changed)


def _federation(file: Path) -> Any:
    written = documents.read(file)
    kind = documents.check(written)
    if kind != "Federation":
        raise CommandError(f"{file} describes a {kind}, not a Federation", exit_code=USAGE)
    return written.content


def _check_result(file: Path, document: Any) -> None:
    """What the aggregator will say of it. Links are followed: two names may lead to one folder."""
    spec = document["spec"]
    members = [{**client, "data": str((file.parent / client["data"]).resolve())} for client in spec["clients"]]
    try:
        validated(Federation, {**document, "spec": {**spec, "clients": members}}, f"federation {file.name}")
    except InvalidDocument as error:
        why = "\n".join(fault.message for fault in error.errors)
        raise CommandError(f"{file} would not be valid; it is as it was", why=why, exit_code=USAGE) from error


def _replace(file: Path, text: str) -> None:
    """Whole or not at all: the aggregator may be reading."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.write_text(text)
        shutil.copymode(file, part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _check_dataset(data: Path, task: str) -> None:
    description = documents.read(data / "dataset.yaml")
    documents.check(description)
    found = description.content["spec"]["task"]
    if found != task:
        hint = f"give --task {found}, or another folder"
        raise CommandError(f"{data} holds data of task {found!r}, not {task!r}", hint=hint, exit_code=USAGE)


def _by_hand(file: Path, why: str) -> CommandError:
    return CommandError(
        f"{file} cannot be edited in place; it is as it was", why=why, hint="change it by hand", exit_code=USAGE
    )


def _make_keys(place: _Place) -> None:
    if place.keys is None:
        return
    from pilot_cli.local.keys import ensure_keys

    document = Federation.model_validate(yaml.safe_load(place.file.read_text()))
    ensure_keys(place.keys, [client.name for client in document.spec.clients])


def _tell_running(name: str) -> None:
    """Which runs go on with the client as they started."""
    with server().aggregator() as aggregator:
        names = [view.metadata["name"] for view in aggregator.runs(limit=200, active=True).items]
        going_on = [aggregator.run(each) for each in names]
    with_it = sorted(v.metadata["name"] for v in going_on if name in {client.name for client in v.status.clients})
    if with_it:
        console.print(
            f"Running runs keep their clients as they started: {', '.join(with_it)}. 'pilot cancel' ends one.",
            markup=False,
            soft_wrap=True,
        )


def _written(data: Path, file: Path) -> str:
    """As the file names folders: relative to itself where that leads below it."""
    folder, base = data.resolve(), file.resolve().parent
    return str(folder.relative_to(base)) if folder.is_relative_to(base) else str(folder)


def _row(client: Any) -> dict[str, str]:
    state = "disabled" if client.get("disabled") else "enabled"
    return {"name": client["name"], "task": client["task"], "state": state, "data": client["data"]}
