"""What the aggregator's tests are made of: a clock that stands, builders of values with sound defaults, and fakes of
the registry and of the backend that remember what they were asked."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import databases
import yaml
from pilot_aggregator.jobs.backend import JobConflict, JobRejected, JobRequest, JobState, Rendered, StatePlace
from pilot_aggregator.rounds.assign import History, RunPlan, plan_round
from pilot_aggregator.store.records import RunRecord
from pilot_aggregator.store.store import LANDMARK, MIGRATIONS, Store
from pilot_client.errors import Unreachable
from pilot_disk.database import connect, upgrade
from pilot_proto.assignment import AdapterRef, FileRef, ModelRef, PrivateStateRef
from pilot_proto.base import as_json
from pilot_proto.canonical import commit_of, digest_of
from pilot_proto.federation import BaseModelOffer, Client, Federation, FederationSpec, Task
from pilot_proto.grant import AdmittedUpdate, Grant, Handed, Publication, PublishRequest, RoundView, SealedRound
from pilot_proto.names import ADAPTER_FILE, CONFIG_FILE, PREPARER, Kind, update_path, update_repo
from pilot_proto.presets import expand
from pilot_proto.run import Metadata, Run, RunSpec
from pilot_proto.update import UPDATE_FILE, PreparedModel, Update

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UID = "0123456789abcdef0123456789abcdef"
CLIENTS = {"cap-1": "caption", "vqa-1": "vqa", "vqa-2": "vqa"}
MODEL = ModelRef(name="tiny", digest=digest_of(b"a base model"))


class FrozenClock:
    """Stands still until told otherwise."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


def later(seconds: float) -> datetime:
    """So many seconds after the beginning of time."""
    return NOW + timedelta(seconds=seconds)


def federation(clients: dict[str, str] = CLIENTS, disabled: tuple[str, ...] = ()) -> Federation:
    return Federation(
        apiVersion="pilot/v1alpha1",
        kind="Federation",
        metadata=Metadata(name="f"),
        spec=FederationSpec(
            models=(BaseModelOffer(name="tiny", path="/models/tiny"), BaseModelOffer(name="large", path="/models/l")),
            tasks=tuple(Task(name=task) for task in sorted(set(clients.values()))),
            clients=tuple(c.model_copy(update={"disabled": c.name in disabled}) for c in members(clients)),
        ),
    )


def federation_in(folder: Path, clients: dict[str, str] = CLIENTS) -> Path:
    """The federation as a file."""
    file = folder / "federation.yaml"
    file.write_text(yaml.safe_dump(as_json(federation(clients))))
    return file


def members(clients: dict[str, str] = CLIENTS) -> tuple[Client, ...]:
    return tuple(Client(name=name, task=task, data=f"/data/{name}") for name, task in sorted(clients.items()))


def document(name: str = "t", **spec: Any) -> dict[str, Any]:
    """A run as somebody writes it."""
    return {
        "apiVersion": "pilot/v1alpha1",
        "kind": "Run",
        "metadata": {"name": name},
        "spec": {"model": "tiny", **spec},
    }


def written(**spec: Any) -> Run:
    return expand(document(**spec))


def spec_of(**spec: Any) -> RunSpec:
    return written(**spec).spec


def plan_of(clients: dict[str, str] = CLIENTS, **spec: Any) -> RunPlan:
    return RunPlan("t", UID, spec_of(**spec), members(clients))


def adapter(repo: str, content: str = "", size: int = 100, kind: str | None = None) -> AdapterRef:
    """A version whose bytes are named by `content`, the repository's name unless told."""
    kind = kind or repo.rpartition("-")[2]
    mark = content or repo
    files = {
        ADAPTER_FILE[kind]: FileRef(digest=digest_of(mark.encode()), size=size),
        CONFIG_FILE[kind]: FileRef(digest=digest_of(kind.encode()), size=10),
    }
    return AdapterRef(repo=repo, commit=commit_of(f"{repo} {mark}".encode()), files=files)


def base_slots() -> dict[str, AdapterRef]:
    """What round 0 leaves."""
    return {f"{kind}/base": adapter(f"t/base-{kind}") for kind in ("connector", "text")}


def accepted(number: int, program: Any) -> PrivateStateRef:
    return PrivateStateRef(update=digest_of(f"update of round {number}".encode()), round=number, program=program)


def history(slots: dict[str, AdapterRef] | None = None, **states: tuple[PrivateStateRef, ...]) -> History:
    """Names of clients are written with an underscore."""
    return History(MODEL, slots or base_slots(), {name.replace("_", "-"): found for name, found in states.items()})


def update_of(client: str, task: str, num_examples: int = 10, flags: tuple[str, ...] = ()) -> AdmittedUpdate:
    kinds: tuple[Kind, ...] = ("connector", "text")
    files = {UPDATE_FILE: FileRef(digest=digest_of(f"{client} says".encode()), size=5)}
    for kind in kinds:
        content = f"{client} {kind}".encode()
        files[update_path(kind, ADAPTER_FILE[kind])] = FileRef(digest=digest_of(content), size=100)
        files[update_path(kind, CONFIG_FILE[kind])] = FileRef(digest=digest_of(kind.encode()), size=10)
    repo = update_repo("t", client)
    return AdmittedUpdate(
        client=client,
        task=task,
        repo=repo,
        commit=commit_of(repo.encode()),
        files=files,
        num_examples=num_examples,
        flags=flags,
    )


def said_of(client: str, task: str, **values: Any) -> Update:
    """What a client says of its update."""
    usual = {"round": 1, "program": "stage-1", "assignment": MODEL.digest, "num_examples": 10}
    model = PreparedModel(digest=MODEL.digest, name="tiny")
    return Update(run="t", client=client, task=task, model=model, **{**usual, **values})


def sealed_of(clients: dict[str, str], number: int = 1, **num_examples: int) -> SealedRound:
    counts = {name.replace("_", "-"): count for name, count in num_examples.items()}
    updates = tuple(update_of(name, task, counts.get(name, 10)) for name, task in sorted(clients.items()))
    return SealedRound(run="t", round=number, updates=updates)


def prepared_round() -> SealedRound:
    return SealedRound(run="t", round=0, updates=(update_of(PREPARER, "", 0),))


def run_record(name: str = "t", uid: str = UID, clients: dict[str, str] = CLIENTS, **values: Any) -> RunRecord:
    spec = values.pop("spec", None) or spec_of()
    default: dict[str, Any] = {
        "model": ModelRef(name="tiny"),
        "slots": {},
        "accepted": {},
        "phase": "Preparing",
        "conditions": (),
        "round": 0,
        "published": -1,
        "through": 4,
        "paused": False,
        "cancelling": False,
        "created_at": NOW,
        "ended_at": None,
        "revision": 0,
    }
    return RunRecord(uid=uid, name=name, spec=spec, clients=members(clients), **{**default, **values})


def store_in(folder: Path) -> Store:
    """A store on the database of a folder, which begins with the schema."""
    if url := databases.url_for(folder, MIGRATIONS, LANDMARK):
        return Store(connect(url))
    file = folder / "aggregator.sqlite"
    if not file.exists():
        file.write_bytes(_migrated())
    return Store(connect(f"sqlite:///{file}"))


@cache
def _migrated() -> bytes:
    """An empty database with the schema; migrating takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "aggregator.sqlite")
        engine = connect(f"sqlite:///{file}")
        upgrade(engine, MIGRATIONS, LANDMARK)
        engine.dispose()
        return file.read_bytes()


def open_round(store: Store, run: RunRecord, number: int, past: History | None = None) -> None:
    """As the reconciler opens it."""
    assignments = plan_round(run.plan, past or (history() if number else History(run.model)), number)
    store.open_round(run.uid, number, run.plan.program(number), assignments, NOW)


def published_of(number: int, slots: Iterable[AdapterRef]) -> Publication:
    outputs = {slot.repo: slot.commit for slot in slots}
    nothing = digest_of(b"")
    return Publication(run="t", round=number, outputs=outputs, plan=nothing, ledger=nothing)


@dataclass
class FakeBackend:
    """Jobs as a dictionary. A test moves them."""

    calls_at_once: ClassVar[int] = 2
    jobs: dict[str, Rendered] = field(default_factory=dict)
    states: dict[str, JobState] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    refuses: bool = False
    told: list[tuple[str, str, str, str]] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    ended: dict[str, bool] = field(default_factory=dict)
    """Runs that have ended, and whether they were cancelled."""
    refusals: dict[str, str] = field(default_factory=dict)
    """Clients whose jobs would be refused, and why."""

    def render(self, request: JobRequest) -> Rendered:
        if (why := self.refusals.get(request.client, "")).startswith("NoTemplate"):
            raise JobRejected(why)
        command = {"command": list(request.command)} if request.command else {}
        return {"client": request.client, "environment": request.environment, "labels": request.labels, **command}

    def state_place(self, job: Rendered) -> StatePlace:
        return StatePlace(
            "trainers", f"state-{job['client']}", "/state", {"kind": "Pod", "metadata": {"name": "reader"}}
        )

    def create(self, name: str, job: Rendered) -> None:
        if self.refuses:
            raise OSError("no room now")
        if self.jobs.setdefault(name, job) != job:
            raise JobConflict(f"a different job named {name!r} exists")
        self.states.setdefault(name, JobState("Running", started_at=NOW))

    def observe(self, names: list[str]) -> dict[str, JobState]:
        return {name: self.states[name] for name in names if name in self.states}

    def delete(self, name: str) -> None:
        self.deleted.append(name)

    def try_out(self, name: str, job: Rendered) -> str:
        return self.refusals.get(job["client"], "")

    def settle(self, name: str) -> None:
        self.settled.append(name)

    def end_run(self, run_uid: str, *, cancelled: bool) -> None:
        self.ended[run_uid] = cancelled

    def tell(self, run_uid: str, kind: str, reason: str, message: str) -> None:
        self.told.append((run_uid, kind, reason, message))

    def figures(self) -> Iterable[Any]:
        return ()

    def check(self) -> None:
        """Always there."""

    def logs(self, name: str) -> str:
        return f"log of {name}\n"

    def close(self) -> None:
        """Holds nothing."""

    def end(self, name: str, exit_code: int = 0, message: str = "") -> None:
        """The job ends."""
        self.states[name] = JobState("Failed" if exit_code else "Succeeded", exit_code, message, NOW, NOW)


@dataclass
class FakeRegistry:
    """Grants, seals and publications in memory. A test admits updates."""

    grants: dict[tuple[int, str], Grant] = field(default_factory=dict)
    views: dict[int, RoundView] = field(default_factory=dict)
    sealed: dict[int, SealedRound] = field(default_factory=dict)
    requests: dict[int, PublishRequest] = field(default_factory=dict)
    retired: list[int] = field(default_factory=list)
    revoked: int = 0
    handed: dict[tuple[int, str], tuple[str, ...]] = field(default_factory=dict)
    """Round and client to the commits that were handed out."""
    away: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    """What can be downloaded, and what was uploaded, by digest."""

    def put_grants(self, uid: str, number: int, grants: Iterable[Grant]) -> None:
        self.grants |= {(number, grant.client): grant for grant in grants}

    def hand_out(self, uid: str, number: int, client: str, handed: Handed) -> None:
        if self.away:
            raise Unreachable("the registry did not answer")
        self.handed[number, client] = handed.commits

    def revoke_grants(self, uid: str) -> None:
        self.revoked += 1

    def round(self, uid: str, number: int, known: int = 0) -> RoundView:
        view = self.views.get(number, RoundView())
        return view.model_copy(update={"admitted": view.admitted[known:], "total": len(view.admitted)})

    def seal(self, uid: str, number: int) -> SealedRound:
        updates = tuple(sorted(self.round(uid, number).admitted, key=lambda update: update.client))
        return self.sealed.setdefault(number, SealedRound(run="t", round=number, updates=updates))

    def publish(self, uid: str, number: int, request: PublishRequest) -> Publication:
        self.requests.setdefault(number, request)
        return request.publication

    def retire(self, uid: str, number: int) -> None:
        self.retired.append(number)

    def put_file(self, file: Path, digest: str, **_: Any) -> None:
        self.files[digest] = file.read_bytes()

    def download(self, adapter: AdapterRef, path: str, target: Path) -> None:
        target.write_bytes(self.files[adapter.files[path].digest])
