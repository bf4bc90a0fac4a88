"""A registry's index with runs that never were: versions by the hundred thousand, and what runs leave beside them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pilot_proto.assignment import FileRef
from pilot_proto.canonical import Commit, canonical_bytes, commit_of, digest_of
from pilot_proto.grant import Grant, Publication
from pilot_proto.manifest import Manifest, Parent
from pilot_proto.names import ADAPTER_FILE, CONFIG_FILE, Kind, client_repo, task_repo, update_repo
from pilot_registry.context import Registry
from pilot_registry.store.port import blob_key
from pilot_registry.tables import (
    Alias,
    AuditRow,
    Blob,
    Edge,
    GrantRow,
    Namespace,
    Participation,
    Readable,
    RejectionRow,
    Round,
    Version,
    VersionFile,
)
from seeds import ledger, plan
from sqlalchemy import func, insert, select

AT = "2026-01-01T00:00:00.000Z"
MODEL = digest_of(b"a base model")
CONFIG = FileRef(digest=digest_of(b"{}"), size=2)
BYTES = 160_000_000
TEXTS = 7
"""Clients of a run whose LoRA is published, if there are more."""
NEIGHBOURS = 6

Tasks = Mapping[str, str]
"""Clients by name to task."""
Own = Mapping[str, Callable[[int], bytes]]
"""Repository to the bytes of its file after a round; the files of others have none."""
NO_BYTES: Own = {}


class Index:
    """Rows that are gathered, then written together."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._rows: dict[type, list[dict[str, Any]]] = {}
        self._put(b"{}")
        with registry.database.reading() as session:
            self.versions = session.scalar(select(func.max(Version.id))) or 0
            self._audited = session.scalar(select(func.max(AuditRow.sequence))) or 0

    def add_run(self, run: str, clients: Tasks, rounds: int, texts: int = TEXTS, own: Own = NO_BYTES) -> None:
        """Everything of one run."""
        uid = f"uid-{run}"
        self._add(Namespace, run=run, uid=uid)
        for number in range(1, rounds + 1):
            self._add_round(uid, run, number, clients, texts, own)
        for client, task in clients.items():
            whose = {"client": client, "uid": uid, "run": run, "task": task, "sequence": self._audited}
            self._add(Participation, **whose, asked=rounds, answered=rounds, sent=2 * BYTES * rounds, answered_at=AT)

    def write(self) -> None:
        """Into the database; nothing is gathered afterwards."""
        with self._registry.database.writing() as session:
            for table, found in self._rows.items():
                pieces = iter(found)
                while piece := list(islice(pieces, 10_000)):
                    session.execute(insert(table), piece)
        self._rows = {}

    def _add(self, table: type, **row: Any) -> None:
        self._rows.setdefault(table, []).append(row)

    def _add_round(self, uid: str, run: str, number: int, clients: Tasks, texts: int, own: Own) -> None:
        made, account = plan(run, number, clients), ledger(run, number, clients)
        documents = {"plan": self._put(canonical_bytes(made)), "ledger": self._put(canonical_bytes(account))}
        sent = {client: self._add_version(uid, update(run, number, client, task)) for client, task in clients.items()}
        outputs = {}
        for output in published(run, number, clients, texts, sent, documents["plan"]):
            if output.repo in own:
                body = own[output.repo](number)
                file = FileRef(digest=self._put(body), size=len(body))
                output = output.model_copy(update={"files": {**output.files, ADAPTER_FILE["text"]: file}})
            outputs[output.repo] = self._add_version(uid, output)
        publication = canonical_bytes(Publication(run=run, round=number, outputs=outputs, **documents)).decode()
        place = {"uid": uid, "number": number}
        self._add(Round, **place, run=run, sealed="{}", publication=publication, **documents)
        for client, task in clients.items():
            self._add(GrantRow, **place, client=client, document=grant(uid, run, number, client, task))
        refused = {"client": next(iter(clients)), "code": "non_finite", "message": "model.safetensors holds NaN"}
        self._add(RejectionRow, **place, run=run, **refused, at=AT)
        for action in ("granted", "sealed", "published"):
            self._note("aggregator", action, f"{run}/{number}")
        # An alias is where the last round left it.
        last = {(row["repo"], row["alias"]): row for row in self._rows[Alias]}
        self._rows[Alias] = list(last.values())

    def _add_version(self, uid: str, made: Manifest) -> Commit:
        raw = canonical_bytes(made)
        commit, id = commit_of(raw), self.versions + 1
        self.versions = id
        alone = made.contributors[0] if len(made.contributors) == 1 else None
        known = {name: getattr(made, name) for name in ("repo", "run", "kind", "round", "client", "task")}
        known |= {"private_to": made.client if made.kind == "update" else alone}
        self._add(Version, **known, id=id, commit=commit, uid=uid, manifest=raw.decode(), created_at=AT)
        for path, file in made.files.items():
            self._add(VersionFile, version_id=id, path=path, digest=file.digest, size=file.size)
            if file is not CONFIG:
                self._add(Blob, digest=file.digest, size=file.size, norm=1.0)
        for i, parent in enumerate(made.parents):
            whose = {"parent_repo": parent.repo, "parent_commit": parent.commit, "coefficient": parent.coefficient}
            self._add(Edge, version_id=id, position=i, **whose)
        if made.kind == "update":
            self._note(f"client:{made.client}", "accepted", f"{made.run}/{made.round}/{made.client}", commit)
            return commit
        for alias in ("main", f"round-{made.round}"):
            self._add(Alias, repo=made.repo, alias=alias, commit=commit, moved_at=AT, moved_by="a")
        if made.kind == "connector":
            for client in made.contributors:
                self._add(Readable, uid=uid, number=made.round, client=client, commit=commit)
        return commit

    def _note(self, by: str, action: str, what: str, detail: str = "") -> None:
        self._audited += 1
        self._add(AuditRow, sequence=self._audited, at=AT, by=by, action=action, object=what, detail=detail)

    def _put(self, body: bytes) -> str:
        digest = digest_of(body)
        self._registry.store.put_bytes(blob_key(digest), body)
        return digest


def update(run: str, number: int, client: str, task: str) -> Manifest:
    """What a client hands in."""
    files = {f"{kind}/{ADAPTER_FILE[kind]}": _file(f"{run}{number}{client}{kind}") for kind in ADAPTER_FILE}
    return _manifest(update_repo(run, client), "update", run, number, client, task, files)


def published(
    run: str, number: int, clients: Tasks, texts: int, sent: Mapping[str, Commit], plan: str
) -> Iterator[Manifest]:
    """A connector for each task of all its clients, and LoRAs of clients with their neighbours, the first of one."""
    names = list(clients)
    for task in sorted(set(clients.values())):
        members = [name for name in names if clients[name] == task]
        yield _adapter(task_repo(run, task, "connector"), "connector", run, number, None, task, members, sent, plan)
    for i, name in enumerate(names[:texts]):
        near = names[i : i + NEIGHBOURS] if i else [name]
        yield _adapter(client_repo(run, name, "text"), "text", run, number, name, clients[name], near, sent, plan)


def grant(uid: str, run: str, number: int, client: str, task: str) -> str:
    """That a client may answer, as it is stored."""
    kinds: tuple[Kind, ...] = ("connector", "text")
    place = {"uid": uid, "run": run, "round": number, "client": client, "task": task}
    return canonical_bytes(Grant(**place, program="stage-2", assignment=MODEL, kinds=kinds)).decode()


def _file(text: str) -> FileRef:
    """A made-up one."""
    return FileRef(digest=digest_of(text.encode()), size=BYTES)


def _adapter(
    repo: str,
    kind: Kind,
    run: str,
    number: int,
    client: str | None,
    task: str,
    members: Sequence[str],
    sent: Mapping[str, Commit],
    plan: str,
) -> Manifest:
    files = {ADAPTER_FILE[kind]: _file(f"{repo}{number}"), CONFIG_FILE[kind]: CONFIG}
    made = _manifest(repo, kind, run, number, client, task, files)
    parents = tuple(
        Parent(repo=update_repo(run, member), commit=sent[member], coefficient=1 / len(members)) for member in members
    )
    return made.model_copy(update={"contributors": tuple(sorted(members)), "parents": parents, "plan": plan})


def _manifest(
    repo: str, kind: Any, run: str, number: int, client: str | None, task: str, files: dict[str, FileRef]
) -> Manifest:
    return Manifest(
        repo=repo,
        kind=kind,
        run=run,
        round=number,
        client=client,
        task=task,
        program="stage-2",
        model="llava-1.5-7b",
        model_digest=MODEL,
        files=files,
        num_examples=1000,
    )
