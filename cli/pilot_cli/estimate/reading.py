"""What an estimate is made of, read from this machine: run file, federation, the model's config, the clients' data."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pilot_data.dataset import read_description
from pilot_data.errors import DataError
from pilot_proto.federation import Client, Federation
from pilot_proto.llava import Llava, NotLlava, read_llava
from pilot_proto.model_folder import read_config
from pilot_proto.presets import expand
from pilot_proto.problem import InvalidDocument, validated
from pilot_proto.run import Run, RunSpec

from pilot_cli import documents
from pilot_cli.errors import USAGE, CommandError
from pilot_cli.estimate.assembly import ClientData

FEDERATION = "federation.yaml"


def read_run(file: Path) -> Run:
    """The run in a file, expanded. Raises CommandError with the place of every fault."""
    written = documents.read(file)
    try:
        return expand(written.content)
    except InvalidDocument as error:
        raise documents.located(written, error.errors) from error


def read_federation(file: Path) -> Federation:
    """Raises CommandError with the place of every fault."""
    written = documents.read(file)
    try:
        return validated(Federation, written.content, "federation")
    except InvalidDocument as error:
        raise documents.located(written, error.errors) from error


def federation_beside(run: Path, named: Path | None) -> Path:
    """The federation's file. Raises CommandError when none is named and none is there."""
    file = named or run.parent / FEDERATION
    if not file.is_file():
        raise CommandError(
            f"{file} does not exist", hint="say who takes part: --federation federation.yaml", exit_code=USAGE
        )
    return file


def model_folder(federation: Federation, home: Path, spec: RunSpec) -> Path:
    """Where the run's base model lies. Raises CommandError when the federation offers none of that name."""
    for offer in federation.spec.models:
        if offer.name == spec.model:
            return home / offer.path
    offered = ", ".join(offer.name for offer in federation.spec.models)
    raise CommandError(
        f"the federation offers no model {spec.model!r}",
        why=f"it offers: {offered}",
        hint="name its folder: --model DIR",
        exit_code=USAGE,
    )


def read_model(folder: Path) -> Llava:
    """The shapes of a base model. Raises CommandError when they cannot be known from here."""
    try:
        return read_llava(read_config(folder))
    except NotLlava as error:
        raise CommandError(f"{folder}: {error}", hint=f"pilot doctor --model {folder}", exit_code=USAGE) from error


def taking_part(clients: Iterable[Client], spec: RunSpec) -> list[Client]:
    """The clients of a run. Raises CommandError naming those that the federation lacks."""
    known = {client.name: client for client in clients if not client.disabled}
    if spec.clients == "all":
        return list(known.values())
    if unknown := [name for name in spec.clients if name not in known]:
        raise CommandError(
            f"the federation has no client {', '.join(unknown)}",
            why=f"it has: {', '.join(known)}",
            exit_code=USAGE,
        )
    return [known[name] for name in spec.clients]


def data_of(client: Client, home: Path, evaluated: int, split: str) -> ClientData:
    """Samples and different images of a client, if its folder can be read here. Images are not opened."""
    try:
        spec = read_description(home / client.data)
        train = _records(home / client.data / spec.splits.train.file)
        other = getattr(spec.splits, split)
        asked = _records(home / client.data / other.file)[:evaluated] if other else []
    except (DataError, OSError, ValueError):
        return ClientData(client.name, client.task)
    return ClientData(client.name, client.task, len(train), len(_images(train)) + len(_images(asked)))


def _records(file: Path) -> Sequence[Any]:
    found = json.loads(file.read_text(encoding="utf-8"))
    return found if isinstance(found, list) else []


def _images(records: Sequence[Any]) -> set[str]:
    return {str(record["image"]) for record in records if isinstance(record, dict) and record.get("image")}
