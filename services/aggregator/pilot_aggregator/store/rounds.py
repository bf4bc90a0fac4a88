"""Rounds: each document of one appears when its step is done, and never changes."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from pilot_http.recall import Recall
from pilot_proto.assignment import AdapterRef, Assignment, FileRef, ModelRef, PrivateStateRef
from pilot_proto.canonical import canonical_bytes, digest_of
from pilot_proto.grant import Publication, SealedRound
from pilot_proto.plan import Ledger, MergePlan
from pilot_proto.training import Program
from pilot_proto.update import Update
from sqlalchemy import Engine, and_, case, func, insert, select, update

from pilot_aggregator.rounds.gate import Measurement
from pilot_aggregator.store import tables as t
from pilot_aggregator.store.documents import dump, load
from pilot_aggregator.store.records import RoundRecord, RoundSummary
from pilot_aggregator.store.sql import Sql

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


class Rounds(Sql):
    """What rounds did."""

    def __init__(self, engine: Engine, *, fenced: bool = False) -> None:
        super().__init__(engine, fenced=fenced)
        self._at_work = Recall[tuple[str, int], Mapping[str, Any]](MOST_AT_WORK)

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
            stored = sql.execute(fresh).rowcount == 1
            if stored:
                self._event(sql, uid, now, event, number, "", message)
        if stored:
            # To read back what has just been written takes longer than to write it.
            known = self._at_work.find((uid, number)) or {}
            written = {name: value for name, value in documents.items() if name in ROUND_DOCUMENTS}
            self._at_work.keep((uid, number), {**known, **written})

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


def round_row(record: RoundRecord) -> dict[str, Any]:
    row = {name: value for name, value in vars(record).items() if value is not None}
    return row | {name: dump(kind, row[name]) for name, kind in ROUND_DOCUMENTS.items() if name in row}


def _round(row: Any) -> RoundRecord:
    values = dict(row._mapping)
    for name, kind in ROUND_DOCUMENTS.items():
        values[name] = load(kind, values.get(name))
    return RoundRecord(**values)
