"""Reading and writing what the aggregator remembers.

Facts (assignments, intents, the documents of a round's steps) are written when they become true, each in its own
transaction and never changed afterwards. The status of a run is written once per tick, and only if nobody else has
written it since it was read.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pilot_disk.database import check, writer
from pilot_http.recall import Recall
from pilot_proto.assignment import AdapterRef, Assignment, FileRef, ModelRef, PrivateStateRef
from pilot_proto.canonical import canonical_bytes, digest_of
from pilot_proto.federation import Client
from pilot_proto.grant import Publication, SealedRound
from pilot_proto.plan import Ledger, MergePlan
from pilot_proto.run import TERMINAL, Condition, Phase, RunSpec
from pilot_proto.training import Program
from pilot_proto.update import Update
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    and_,
    bindparam,
    case,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from pilot_aggregator.jobs.backend import Rendered
from pilot_aggregator.rounds.decide import ACTIVE
from pilot_aggregator.rounds.gate import Measurement
from pilot_aggregator.store import tables as t
from pilot_aggregator.store.documents import Unread, dump, load
from pilot_aggregator.store.exports import ExportBook
from pilot_aggregator.store.records import (
    AssignmentRecord,
    AttemptChange,
    AttemptRecord,
    Delivery,
    EventRecord,
    Intent,
    RoundRecord,
    RoundSummary,
    RunRecord,
)
from pilot_aggregator.store.times import TimeBook

Slots = dict[str, AdapterRef]
Accepted = dict[str, tuple[PrivateStateRef, ...]]
Measured = dict[str, Measurement]
Merged = dict[str, FileRef]
Updates = dict[str, Update]

ROUND_DOCUMENTS: Mapping[str, Any] = {
    "sealed": SealedRound,
    "measured": Measured,
    "updates": Updates,
    "plan": MergePlan,
    "ledger": Ledger,
    "merged": Merged,
    "publication": Publication,
    "slots": Slots,
    "accepted": Accepted,
}

ATTEMPT = [column for column in t.attempts.c if column.name not in ("rendered", "timings")]
"""What the loop needs of an attempt: its job is large, and its timings are for people (`TimeBook`)."""
STATE = case(
    (t.rounds.c.publication.is_not(None), "Published"),
    (t.rounds.c.merged.is_not(None), "Merged"),
    (t.rounds.c.plan.is_not(None), "Planned"),
    (t.rounds.c.sealed.is_not(None), "Sealed"),
    else_="Assigned",
).label("state")
"""The last step of a round that is done."""

MOST_AT_WORK = 16
"""Rounds whose documents are kept in memory."""

MOST_FIXED = 64
"""Runs of which that is done."""

NO_TERM = 0
"""Before anybody has led."""

MIGRATIONS = Path(__file__).parent / "migrations"
LANDMARK = "runs"
"""A table that only an aggregator's database has."""


class NameTaken(Exception):
    """A run of that name exists."""


class StaleLeader(OSError):
    """Another aggregator leads now; nothing that this one concludes may be written."""


class StaleStatus(Exception):
    """Somebody else has written the run's status since it was read; drop what was concluded from it."""


class Store:
    """All SQL of the aggregator."""

    def __init__(self, engine: Engine, *, fenced: bool = False) -> None:
        """Where several aggregators work on one database, writes are `fenced`: refused until `take_over`."""
        self._engine = engine
        self._writer = writer(engine)
        self._fence = NO_TERM if fenced else None
        self.times = TimeBook(engine, self._writing)
        self.exports = ExportBook(engine, self._writing)
        self._at_work = Recall[tuple[str, int], Mapping[str, Any]](MOST_AT_WORK)
        self._fixed = Recall[str, Mapping[str, Any]](MOST_FIXED)

    # -- who leads

    def fence(self) -> int:
        """The highest term that anybody has led in."""
        with self._engine.connect() as sql:
            return sql.scalar(select(t.leadership.c.fence)) or NO_TERM

    @property
    def term(self) -> int:
        """The one in which this aggregator leads."""
        return self._fence or NO_TERM

    @property
    def leads(self) -> bool:
        """Whether this aggregator may write. One that has no replicas always does."""
        return self._fence != NO_TERM

    def take_over(self, fence: int) -> None:
        """From now on only writes of this term count.

        Raises:
            StaleLeader: a term as high or higher has begun.
        """
        with self._writer.begin() as sql:
            known = sql.scalar(select(t.leadership.c.fence).with_for_update())
            if known is not None and known >= fence:
                raise StaleLeader(f"term {fence} is over: term {known} has begun")
            row = {"id": 1, "fence": fence}
            sql.execute(insert(t.leadership).values(row) if known is None else update(t.leadership).values(row))
        self._fence = fence

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that counts only if this aggregator still leads when it is committed."""
        with self._writer.begin() as sql:
            if self._fence is not None:
                # Shared until the commit: who takes over waits for it, and whoever comes after that finds another.
                known = sql.scalar(select(t.leadership.c.fence).with_for_update(read=True))
                if self._fence == NO_TERM:
                    raise StaleLeader("another aggregator leads; this one stands by")
                if known != self._fence:
                    raise StaleLeader(f"this aggregator's term ({self._fence}) is not the present one ({known})")
            yield sql

    # -- runs

    def create_run(self, run: RunRecord, first: RoundRecord | None, idempotency: tuple[str, str, str] | None) -> None:
        """Store a new run, with its first round already published where it starts from another run.

        Raises:
            NameTaken: there is one of that name.
        """
        try:
            with self._writing() as sql:
                sql.execute(insert(t.runs).values(_run_row(run)))
                if first is not None:
                    sql.execute(insert(t.rounds).values(_round_row(first)))
                if idempotency is not None:
                    principal, key, request = idempotency
                    row = {"principal": principal, "key": key, "request": request, "run": run.name}
                    sql.execute(insert(t.idempotency).values(**row, at=run.created_at))
                self._event(sql, run.uid, run.created_at, "RunCreated", 0, "", f"{run.spec.method} on {run.spec.model}")
        except IntegrityError as error:
            raise NameTaken(run.name) from error

    def remembered(self, principal: str, key: str) -> tuple[str, str] | None:
        """(digest of the request, run) that an idempotency key was used for."""
        with self._engine.connect() as sql:
            where = and_(t.idempotency.c.principal == principal, t.idempotency.c.key == key)
            row = sql.execute(select(t.idempotency.c.request, t.idempotency.c.run).where(where)).first()
            return (row.request, row.run) if row else None

    def run(self, name: str) -> RunRecord | None:
        with self._engine.connect() as sql:
            row = sql.execute(_runs().where(t.runs.c.name == name)).first()
            return self._run(row) if row else None

    def uid(self, name: str) -> str | None:
        """The uid of a run, without reading the rest of it."""
        with self._engine.connect() as sql:
            return sql.scalar(select(t.runs.c.uid).where(t.runs.c.name == name))

    def run_of(self, uid: str) -> RunRecord:
        """The run of a uid that another record has."""
        with self._engine.connect() as sql:
            return self._run(sql.execute(_runs().where(t.runs.c.uid == uid)).one())

    def runs(
        self, phase: str | None, limit: int, after: tuple[datetime, str] | None, *, active: bool = False
    ) -> list[RunRecord]:
        """The newest first; only those that have not ended, if they are `active`."""
        query = _runs().order_by(t.runs.c.created_at.desc(), t.runs.c.uid.desc()).limit(limit)
        if phase:
            query = query.where(t.runs.c.phase == phase)
        if active:
            query = query.where(t.runs.c.phase.not_in(TERMINAL))
        if after:
            query = query.where(tuple_(t.runs.c.created_at, t.runs.c.uid) < tuple_(*after))
        with self._engine.connect() as sql:
            return [self._run(row) for row in sql.execute(query)]

    def count_by_phase(self) -> dict[str, int]:
        query = select(t.runs.c.phase, func.count()).group_by(t.runs.c.phase)
        with self._engine.connect() as sql:
            return {row[0]: row[1] for row in sql.execute(query)}

    def active_attempt_states(self) -> list[str]:
        """The state of every attempt that has not ended."""
        with self._engine.connect() as sql:
            rows = sql.execute(select(t.attempts.c.state).where(t.attempts.c.state.in_(sorted(ACTIVE))))
            return [row.state for row in rows]

    def active_runs(self) -> list[str]:
        """Names of the runs that have not ended."""
        with self._engine.connect() as sql:
            rows = sql.execute(select(t.runs.c.name).where(t.runs.c.phase.not_in(TERMINAL)).order_by(t.runs.c.name))
            return [row.name for row in rows]

    def write_status(
        self,
        run: RunRecord,
        *,
        phase: Phase,
        conditions: tuple[Condition, ...],
        round: int,
        ended_at: datetime | None,
        delivery: Delivery | None = None,
    ) -> None:
        """The one status write of a tick. `delivery` is what the webhook is to be told of it: both or neither.

        Raises:
            StaleStatus: the run was changed since it was read.
        """
        values = {
            "phase": phase,
            "conditions": dump(tuple[Condition, ...], conditions),
            "round": round,
            "ended_at": ended_at,
            "revision": run.revision + 1,
        }
        where = and_(t.runs.c.uid == run.uid, t.runs.c.revision == run.revision)
        with self._writing() as sql:
            if sql.execute(update(t.runs).where(where).values(values)).rowcount != 1:
                raise StaleStatus(run.name)
            if delivery is not None:
                sql.execute(insert(t.deliveries).values(vars(delivery)))
        if ended_at is not None:
            self._at_work.forget((run.uid, run.published + 1))

    def request(self, uid: str, **wish: Any) -> None:
        """Store what a person wants of a run: `paused`, `cancelling`, or `through` (the largest ever counts)."""
        with self._writing() as sql:
            values: dict[str, Any] = {**wish, "revision": t.runs.c.revision + 1}
            query = update(t.runs).where(t.runs.c.uid == uid)
            if "through" in wish:
                query = query.where(t.runs.c.through < wish["through"])
            sql.execute(query.values(values))

    def _run(self, row: Row[Any]) -> RunRecord:
        """A run. What never changes of it is read once: it grows with the number of clients."""
        fixed = self._fixed.find(row.uid)
        if fixed is None:
            fixed = {"spec": load(RunSpec, row.spec), "clients": load(tuple[Client, ...], row.clients)}
            self._fixed.keep(row.uid, fixed)
        changing = {
            "model": load(ModelRef, row.model),
            "slots": Unread(Slots, row.slots),
            "accepted": Unread(Accepted, row.accepted),
            "conditions": load(tuple[Condition, ...], row.conditions),
        }
        return RunRecord(**{**row._mapping, **fixed, **changing})

    # -- rounds

    def round(self, uid: str, number: int, documents: Collection[str] = ROUND_DOCUMENTS) -> RoundRecord | None:
        """A round; of its documents those that are wanted, the others are None.

        Those of a round at work are read once: they are large, and never change.
        """
        where = and_(t.rounds.c.uid == uid, t.rounds.c.number == number)
        there = [column.is_not(None).label(column.name) for column in t.rounds.c if column.name in ROUND_DOCUMENTS]
        plain = [column for column in t.rounds.c if column.name not in ROUND_DOCUMENTS]
        with self._engine.connect() as sql:
            row = sql.execute(select(*plain, *there).where(where)).first()
            if row is None:
                return None
            known = self._at_work.find((uid, number)) or {}
            wanted = {name for name in documents if getattr(row, name)}
            if fresh := [t.rounds.c[name] for name in wanted - known.keys()]:
                read = sql.execute(select(*fresh).where(where)).one()._mapping
                known = {**known, **{name: load(ROUND_DOCUMENTS[name], text) for name, text in read.items()}}
        if row.publication:
            self._at_work.forget((uid, number))
        else:
            self._at_work.keep((uid, number), known)
        asked = {name: known[name] for name in wanted}
        return RoundRecord(**{**row._mapping, **dict.fromkeys(ROUND_DOCUMENTS), **asked})

    def ledger(self, uid: str, number: int) -> Ledger | None:
        """A round's account of its clients, once there is one."""
        with self._engine.connect() as sql:
            where = and_(t.rounds.c.uid == uid, t.rounds.c.number == number)
            ledger: Ledger | None = load(Ledger, sql.scalar(select(t.rounds.c.ledger).where(where)))
            return ledger

    def round_state(self, uid: str, number: int) -> str:
        """The last step of a round that is done, as in a summary."""
        with self._engine.connect() as sql:
            query = select(STATE).where(t.rounds.c.uid == uid, t.rounds.c.number == number)
            state: str = sql.execute(query).scalar_one()
            return state

    def rounds(self, uid: str, documents: Collection[str] = ROUND_DOCUMENTS) -> list[RoundRecord]:
        """The rounds in order; of their documents those that are wanted, the others are None."""
        columns = [c for c in t.rounds.c if c.name in documents or c.name not in ROUND_DOCUMENTS]
        with self._engine.connect() as sql:
            rows = sql.execute(select(*columns).where(t.rounds.c.uid == uid).order_by(t.rounds.c.number))
            return [_round(row) for row in rows]

    def round_summaries(self, uid: str) -> list[RoundSummary]:
        """The rounds in order, each without the documents that are large."""
        r, a = t.rounds.c, t.assignments.c
        asked = select(func.count()).where(a.uid == r.uid, a.number == r.number).scalar_subquery()
        columns = (r.number, r.program, r.started_at, r.ended_at, r.ledger, STATE, asked.label("asked"))
        with self._engine.connect() as sql:
            rows = sql.execute(select(*columns).where(r.uid == uid).order_by(r.number))
            return [RoundSummary(**{**row._mapping, "ledger": load(Ledger, row.ledger)}) for row in rows]

    def open_round(self, uid: str, number: int, program: Program, assignments: list[Assignment], now: datetime) -> None:
        """Store a round with all its assignments, or none of it. The same again does nothing."""
        with self._writing() as sql:
            where = and_(t.rounds.c.uid == uid, t.rounds.c.number == number)
            if sql.execute(select(t.rounds.c.number).where(where)).first():
                return
            sql.execute(insert(t.rounds).values(uid=uid, number=number, program=program, started_at=now))
            place = {"uid": uid, "number": number, "budget_from": 0, "failure": ""}
            bodies = [(assignment, canonical_bytes(assignment)) for assignment in assignments]
            rows = [
                {**place, "client": a.client, "task": a.task, "digest": digest_of(body), "body": body}
                for a, body in bodies
            ]
            if rows:
                sql.execute(insert(t.assignments), rows)
            self._event(sql, uid, now, "RoundOpened", number, "", f"{program} for {len(assignments)} clients")

    def store_step(self, uid: str, number: int, now: datetime, event: str, message: str, **documents: Any) -> None:
        """Store the documents of a step; one that is there already stays as it is."""
        with self._writing() as sql:
            where = and_(t.rounds.c.uid == uid, t.rounds.c.number == number)
            first = next(iter(documents))
            values = {
                name: value if name == "quorum_at" else dump(ROUND_DOCUMENTS[name], value)
                for name, value in documents.items()
            }
            fresh = update(t.rounds).where(where, t.rounds.c[first].is_(None)).values(values)
            if sql.execute(fresh).rowcount:
                self._event(sql, uid, now, event, number, "", message)

    def adopt_publication(
        self,
        uid: str,
        number: int,
        publication: Publication,
        slots: Slots,
        accepted: Accepted,
        model: ModelRef,
        now: datetime,
    ) -> None:
        """The round is published: everything that follows from it, in one transaction."""
        with self._writing() as sql:
            where = and_(t.rounds.c.uid == uid, t.rounds.c.number == number, t.rounds.c.publication.is_(None))
            values = {
                "publication": dump(Publication, publication),
                "slots": dump(Slots, slots),
                "accepted": dump(Accepted, accepted),
                "ended_at": now,
            }
            if not sql.execute(update(t.rounds).where(where).values(values)).rowcount:
                return
            after = {
                "published": number,
                "model": dump(ModelRef, model),
                "revision": t.runs.c.revision + 1,
            }
            sql.execute(update(t.runs).where(t.runs.c.uid == uid).values(after))
            self._event(sql, uid, now, "RoundPublished", number, "", f"{len(publication.outputs)} outputs")

    # -- clients in a round

    def assignments(self, uid: str, number: int) -> list[AssignmentRecord]:
        query = select(t.assignments).where(t.assignments.c.uid == uid, t.assignments.c.number == number)
        with self._engine.connect() as sql:
            return [AssignmentRecord(**row._mapping) for row in sql.execute(query.order_by(t.assignments.c.client))]

    def assignment(self, uid: str, number: int, client: str) -> AssignmentRecord | None:
        """One client's part in a round."""
        c = t.assignments.c
        with self._engine.connect() as sql:
            found = sql.execute(select(t.assignments).where(c.uid == uid, c.number == number, c.client == client))
            row = found.first()
            return AssignmentRecord(**row._mapping) if row else None

    def change_assignment(self, uid: str, number: int, client: str, **values: Any) -> None:
        """`failure`, `budget_from`, `verdict` and what belongs to it, of a client in a round."""
        where = and_(t.assignments.c.uid == uid, t.assignments.c.number == number, t.assignments.c.client == client)
        with self._writing() as sql:
            sql.execute(update(t.assignments).where(where).values(values))

    def attempts(self, uid: str, number: int) -> list[AttemptRecord]:
        query = select(*ATTEMPT).where(t.attempts.c.uid == uid, t.attempts.c.number == number)
        with self._engine.connect() as sql:
            rows = sql.execute(query.order_by(t.attempts.c.client, t.attempts.c.attempt))
            return [AttemptRecord(**row._mapping) for row in rows]

    def rendered(self, job: str) -> Rendered:
        """A job as it was intended."""
        with self._engine.connect() as sql:
            found: Rendered = load(Rendered, sql.scalar(select(t.attempts.c.rendered).where(t.attempts.c.job == job)))
            return found

    def intend(self, uid: str, number: int, intents: Sequence[Intent], now: datetime) -> list[AttemptRecord]:
        """Store that jobs are about to be created: all of them, or none."""
        place = {"uid": uid, "number": number, "message": "", "intended_at": now, "state": "Intended", "created": False}
        rows = [
            {
                **place,
                "client": intent.client,
                "attempt": intent.attempt,
                "job": intent.job,
                "rendered": dump(Rendered, intent.rendered),
            }
            for intent in intents
        ]
        with self._writing() as sql:
            sql.execute(insert(t.attempts), rows)
            self._events(sql, [_event(uid, now, "AttemptIntended", number, i.client, i.job) for i in intents])
        return [
            AttemptRecord(
                uid=uid,
                number=number,
                client=intent.client,
                attempt=intent.attempt,
                job=intent.job,
                state="Intended",
                created=False,
                exit_code=None,
                message="",
                intended_at=now,
                started_at=None,
                ended_at=None,
            )
            for intent in intents
        ]

    def change_attempts(self, changes: Sequence[AttemptChange], now: datetime) -> None:
        """What has become of jobs, in one transaction."""
        if not changes:
            return
        # One statement for all that change alike: with a thousand jobs, building statements is most of the work.
        alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for change in changes:
            values = {**change.values, "its_job": change.attempt.job}
            alike.setdefault(tuple(change.values), []).append(values)
        with self._writing() as sql:
            for names, rows in alike.items():
                values = {name: bindparam(name) for name in names}
                sql.execute(update(t.attempts).where(t.attempts.c.job == bindparam("its_job")).values(values), rows)
            self._events(sql, [_event_of(change, now) for change in changes if change.event])

    # -- what the webhook is told

    def due_deliveries(self, now: datetime) -> list[Delivery]:
        """Those to try now, the oldest first."""
        query = select(t.deliveries).where(_pending(), t.deliveries.c.due_at <= now).order_by(t.deliveries.c.due_at)
        with self._engine.connect() as sql:
            return [Delivery(**row._mapping) for row in sql.execute(query)]

    def next_delivery(self) -> datetime | None:
        """When the next one is due."""
        with self._engine.connect() as sql:
            due: datetime | None = sql.scalar(select(func.min(t.deliveries.c.due_at)).where(_pending()))
            return due

    def change_delivery(self, delivery: Delivery, now: datetime, event: str | None = None, **values: Any) -> None:
        """How an attempt at one went; an event tells people, where there is something to tell."""
        with self._writing() as sql:
            sql.execute(update(t.deliveries).where(t.deliveries.c.id == delivery.id).values(values))
            if event:
                number = select(t.runs.c.round).where(t.runs.c.uid == delivery.uid)
                round_ = sql.scalar(number) or 0
                self._event(sql, delivery.uid, now, event, round_, "", str(values.get("error", "")))

    def count_deliveries(self) -> dict[str, int]:
        """By how they stand: `pending`, `delivered`, `given_up`."""
        d = t.deliveries.c
        state = case(
            (d.delivered_at.is_not(None), "delivered"), (d.given_up_at.is_not(None), "given_up"), else_="pending"
        )
        with self._engine.connect() as sql:
            return {row[0]: row[1] for row in sql.execute(select(state, func.count()).group_by(state))}

    # -- events

    def add_event(self, uid: str, now: datetime, type: str, round: int, client: str, message: str) -> None:  # noqa: A002
        with self._writing() as sql:
            self._event(sql, uid, now, type, round, client, message)

    def events_after(self, uid: str, last: int, limit: int = 500) -> list[EventRecord]:
        query = select(t.events).where(t.events.c.uid == uid, t.events.c.id > last).order_by(t.events.c.id).limit(limit)
        with self._engine.connect() as sql:
            return [EventRecord(**row._mapping) for row in sql.execute(query)]

    def last_event(self) -> int:
        """The newest event of any run."""
        with self._engine.connect() as sql:
            return sql.scalar(select(func.max(t.events.c.id))) or 0

    def all_events_after(self, last: int, limit: int = 500) -> list[EventRecord]:
        """Of all runs, in order."""
        query = select(t.events).where(t.events.c.id > last).order_by(t.events.c.id).limit(limit)
        with self._engine.connect() as sql:
            return [EventRecord(**row._mapping) for row in sql.execute(query)]

    def forget_idempotency(self, before: datetime) -> None:
        """Keys are good for a day."""
        with self._writing() as sql:
            sql.execute(t.idempotency.delete().where(t.idempotency.c.at < before - timedelta(days=1)))

    def check(self) -> None:
        """Raise DatabaseUnusable if the database does not answer."""
        check(self._engine)

    def _event(
        self, sql: Connection, uid: str, at: datetime, type_: str, round_: int, client: str, message: str
    ) -> None:
        self._events(sql, [_event(uid, at, type_, round_, client, message)])

    def _events(self, sql: Connection, rows: list[dict[str, Any]]) -> None:
        if rows:
            sql.execute(insert(t.events), rows)


def _event(uid: str, at: datetime, type_: str, round_: int, client: str, message: str) -> dict[str, Any]:
    return {"uid": uid, "at": at, "type": type_, "round": round_, "client": client, "message": message[:2000]}


def _event_of(change: AttemptChange, at: datetime) -> dict[str, Any]:
    attempt = change.attempt
    message = str(change.values.get("message", ""))
    return _event(attempt.uid, at, str(change.event), attempt.number, attempt.client, message)


def _pending() -> ColumnElement[bool]:
    return and_(t.deliveries.c.delivered_at.is_(None), t.deliveries.c.given_up_at.is_(None))


def _runs() -> Select[Any]:
    """Runs with what stands after their last published round."""
    published = and_(t.rounds.c.uid == t.runs.c.uid, t.rounds.c.number == t.runs.c.published)
    return select(t.runs, t.rounds.c.slots, t.rounds.c.accepted).join(t.rounds, published, isouter=True)


def _run_row(run: RunRecord) -> dict[str, Any]:
    return {
        "uid": run.uid,
        "name": run.name,
        "spec": dump(RunSpec, run.spec),
        "clients": dump(tuple[Client, ...], run.clients),
        "model": dump(ModelRef, run.model),
        "phase": run.phase,
        "conditions": dump(tuple[Condition, ...], run.conditions),
        "round": run.round,
        "published": run.published,
        "through": run.through,
        "paused": run.paused,
        "cancelling": run.cancelling,
        "created_at": run.created_at,
        "ended_at": run.ended_at,
        "revision": run.revision,
    }


def _round_row(record: RoundRecord) -> dict[str, Any]:
    row = {name: value for name, value in vars(record).items() if value is not None}
    return row | {name: dump(kind, row[name]) for name, kind in ROUND_DOCUMENTS.items() if name in row}


def _round(row: Any) -> RoundRecord:
    values = dict(row._mapping)
    for name, kind in ROUND_DOCUMENTS.items():
        values[name] = load(kind, values.get(name))
    return RoundRecord(**values)
