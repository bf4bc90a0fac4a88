"""The federation file, looked at whenever somebody asks: what is in force is what it last said without a fault."""

import logging
import threading
from pathlib import Path

import yaml
from pilot_proto.canonical import digest_of
from pilot_proto.federation import Client, Federation, FederationSpec, FederationStatus, FederationView, shared_data
from pilot_proto.problem import FieldError, InvalidDocument, validated

log = logging.getLogger(__name__)


class FederationFile:
    """`federation.yaml`. A change counts from the next look; a file with a fault changes nothing, and says why.

    The bytes are read each time: they are few, and neither times nor sizes of files can be trusted to tell of a
    change (an editor that keeps both, a ConfigMap that swaps links).
    """

    def __init__(self, path: Path) -> None:
        """Read it for the first time.

        Raises:
            InvalidDocument: with every fault.
            OSError: the file cannot be read.
        """
        self._path = path
        self._lock = threading.Lock()
        raw = path.read_bytes()
        self._seen: bytes | None = raw
        self._federation = federation_of(raw, path)
        self._status = FederationStatus(digest=digest_of(raw))
        self._models = _models(self._federation)

    def now(self) -> Federation:
        """What is in force."""
        with self._lock:
            self._look()
            return self._federation

    def view(self) -> FederationView:
        """What is in force, and whether the file is."""
        with self._lock:
            self._look()
            known = self._federation
            return FederationView(metadata=known.metadata, spec=known.spec, status=self._status)

    def model_path(self, name: str) -> str:
        """The folder of a base model. One that the file no longer names is still known to the runs that use it.

        Raises:
            FileNotFoundError: it left the file before this service started; the run waits for it.
        """
        with self._lock:
            self._look()
            if name not in self._models:
                raise FileNotFoundError(f"{self._path.name} names no model {name!r} any more: put it back, or cancel")
            return self._models[name]

    def _look(self) -> None:
        try:
            raw = self._path.read_bytes()
        except OSError as error:
            self._seen = None
            self._keep(f"{self._path.name} cannot be read: {error.strerror}")
            return
        if raw == self._seen:
            return
        self._seen = raw
        try:
            self._federation = federation_of(raw, self._path)
        except InvalidDocument as error:
            self._keep(str(error))
            return
        self._status = FederationStatus(digest=digest_of(raw))
        self._models |= _models(self._federation)
        log.info("%s has changed: %d clients", self._path.name, len(self._federation.spec.clients))

    def _keep(self, error: str) -> None:
        if self._status.error != error:
            log.error("the federation before this one stays in force: %s", error)
        self._status = self._status.model_copy(update={"error": error})


def read_federation(path: Path) -> Federation:
    """A federation file, once.

    Raises:
        InvalidDocument: with every fault.
        OSError: the file cannot be read.
    """
    return federation_of(path.read_bytes(), path)


def federation_of(raw: bytes, path: Path) -> Federation:
    """The federation that a file holds, its paths made absolute: they are relative to the file.

    Raises:
        InvalidDocument: with every fault.
    """
    what = f"federation {path.name}"
    try:
        document = yaml.safe_load(raw)
    except yaml.YAMLError as error:
        raise InvalidDocument(what, [FieldError(pointer="", message=f"this is not YAML: {error}")]) from error
    federation = validated(Federation, document, what)
    spec = absolute(federation.spec, path)
    # Only now are links followed: two names may lead to one folder.
    if shared := shared_data(spec.clients):
        hint = "give each client a folder of its own, or disable one of them"
        raise InvalidDocument(what, [FieldError(pointer="/spec/clients", message=m, hint=hint) for m in shared])
    return federation.model_copy(update={"spec": spec})


def absolute(spec: FederationSpec, file: Path) -> FederationSpec:
    """The same with every path resolved against the file's folder."""
    models = tuple(m.model_copy(update={"path": _absolute(file, m.path)}) for m in spec.models)
    clients = tuple(c.model_copy(update={"data": _absolute(file, c.data)}) for c in spec.clients)
    return spec.model_copy(update={"models": models, "clients": clients})


def chosen(federation: Federation, names: str | tuple[str, ...]) -> tuple[Client, ...]:
    """The clients of a run, sorted; `all` are those that are not disabled.

    Raises:
        KeyError: the first name that the federation does not know.
    """
    known = {client.name: client for client in federation.spec.clients}
    wanted = [name for name in known if not known[name].disabled] if isinstance(names, str) else names
    return tuple(known[name] for name in sorted(wanted))


def _models(federation: Federation) -> dict[str, str]:
    return {model.name: model.path for model in federation.spec.models}


def _absolute(file: Path, path: str) -> str:
    return str((file.parent / path).resolve())
