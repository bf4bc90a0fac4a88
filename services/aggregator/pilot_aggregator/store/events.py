"""What happened, for people: in the order in which it was written."""

from datetime import datetime

from sqlalchemy import func, select

from pilot_aggregator.store import tables as t
from pilot_aggregator.store.records import EventRecord
from pilot_aggregator.store.sql import Sql


class Events(Sql):
    """The events of runs."""

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
