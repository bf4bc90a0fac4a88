"""The federation file, read once at start."""

from pathlib import Path

import yaml
from pilot_proto.federation import Client, Federation
from pilot_proto.problem import validated


def read_federation(path: Path) -> Federation:
    """The federation, with its paths made absolute: they are relative to the file.

    Raises:
        InvalidDocument: with every fault.
        OSError: the file cannot be read.
    """
    federation = validated(Federation, yaml.safe_load(path.read_text()), f"federation {path.name}")
    spec = federation.spec
    models = tuple(m.model_copy(update={"path": _absolute(path, m.path)}) for m in spec.models)
    clients = tuple(c.model_copy(update={"data": _absolute(path, c.data)}) for c in spec.clients)
    return federation.model_copy(update={"spec": spec.model_copy(update={"models": models, "clients": clients})})


def chosen(federation: Federation, names: str | tuple[str, ...]) -> tuple[Client, ...]:
    """The clients of a run, sorted.

    Raises:
        KeyError: the first name that the federation does not know.
    """
    known = {client.name: client for client in federation.spec.clients}
    wanted = known if isinstance(names, str) else names
    return tuple(known[name] for name in sorted(wanted))


def _absolute(file: Path, path: str) -> str:
    return str((file.parent / path).resolve())
