"""When the steps of a round were done, and what trainers told of their own work. For people; nothing decides by it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

from sqlalchemy import Connection, Engine, and_, func, select, update

from pilot_aggregator.store import tables as t
from pilot_aggregator.store.documents import dump, load
from pilot_aggregator.store.records import Timings

STEPS = (
    "RoundOpened",
    "QuorumReached",
    "RoundSealed",
    "RoundMeasured",
    "RoundPlanned",
    "RoundMerged",
    "RoundPublished",
)
"""The events that a round's steps leave."""


class TimeBook:
    """Times of rounds."""

    def __init__(self, engine: Engine, writing: Callable[[], AbstractContextManager[Connection]]) -> None:
        """`writing` is a transaction that counts only while this aggregator leads."""
        self._engine, self._writing = engine, writing

    def steps(self, uid: str, number: int) -> dict[str, datetime]:
        """Event to when a round's step was done; those that are not yet are left out."""
        e = t.events.c
        query = select(e.type, func.min(e.id)).where(e.uid == uid, e.round == number, e.type.in_(STEPS))
        first = query.group_by(e.type).subquery()
        with self._engine.connect() as sql:
            rows = sql.execute(select(e.type, e.at).where(e.uid == uid, e.id.in_(select(first.c[1]))))
            return {row.type: row.at for row in rows}

    def note(self, uid: str, number: int, client: str, timings: Timings) -> None:
        """What a trainer told. A client's newest attempt has it, and keeps the first word."""
        a = t.attempts.c
        place = and_(a.uid == uid, a.number == number, a.client == client)
        newest = select(func.max(a.attempt)).where(place).scalar_subquery()
        values = {"timings": dump(Timings, timings)}
        with self._writing() as sql:
            sql.execute(update(t.attempts).where(place, a.attempt == newest, a.timings.is_(None)).values(values))

    def told(self, uid: str, number: int) -> dict[tuple[str, int], Timings]:
        """By client and attempt."""
        a = t.attempts.c
        query = select(a.client, a.attempt, a.timings).where(a.uid == uid, a.number == number, a.timings.is_not(None))
        with self._engine.connect() as sql:
            return {(row.client, row.attempt): load(Timings, row.timings) for row in sql.execute(query)}
