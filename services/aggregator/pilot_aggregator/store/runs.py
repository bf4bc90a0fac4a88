"""Runs: what is wanted of them, and the one status write of a tick."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pilot_http.recall import Recall
from pilot_proto.assignment import ModelRef
from pilot_proto.federation import Client
from pilot_proto.run import TERMINAL, Condition, Phase, RunSpec
from sqlalchemy import Engine, Row, Select, and_, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from pilot_aggregator.store import tables as t
from pilot_aggregator.store.documents import Unread, dump, load
from pilot_aggregator.store.records import Delivery, RoundRecord, RunRecord
from pilot_aggregator.store.rounds import Accepted, Rounds, Slots, round_row

MOST_FIXED = 64
"""Runs of which specification and clients are kept in memory."""


class NameTaken(Exception):
    """A run of that name exists."""


class StaleStatus(Exception):
    """Somebody else has written the run's status since it was read; drop what was concluded from it."""


class Runs(Rounds):
    """Runs, and what stands after their last published rounds."""

    def __init__(self, engine: Engine, *, fenced: bool = False) -> None:
        super().__init__(engine, fenced=fenced)
        self._fixed = Recall[str, Mapping[str, Any]](MOST_FIXED)

    def create_run(self, run: RunRecord, first: RoundRecord | None, idempotency: tuple[str, str, str] | None) -> None:
        """Store a new run, with its first round already published where it starts from another run.

        Raises:
            NameTaken: there is one of that name.
        """
        try:
            with self._writing() as sql:
                sql.execute(insert(t.runs).values(_run_row(run)))
                if first is not None:
                    sql.execute(insert(t.rounds).values(round_row(first)))
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

    def forget_idempotency(self, before: datetime) -> None:
        """Keys are good for a day."""
        with self._writing() as sql:
            sql.execute(t.idempotency.delete().where(t.idempotency.c.at < before - timedelta(days=1)))


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
