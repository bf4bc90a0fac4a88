"""What every part of the store works with: transactions that count only while this aggregator leads, and events."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from pilot_disk.database import writer
from sqlalchemy import Connection, Engine, insert, select, update

from pilot_aggregator.store import tables as t

NO_TERM = 0
"""Before anybody has led."""


class StaleLeader(OSError):
    """Another aggregator leads now; nothing that this one concludes may be written."""


class Sql:
    """A connection to the aggregator's database."""

    def __init__(self, engine: Engine, *, fenced: bool = False) -> None:
        """Where several aggregators work on one database, writes are `fenced`: refused until `take_over`."""
        self._engine = engine
        self._writer = writer(engine)
        self._fence = NO_TERM if fenced else None

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

    def _event(
        self, sql: Connection, uid: str, at: datetime, type_: str, round_: int, client: str, message: str
    ) -> None:
        self._events(sql, [event_row(uid, at, type_, round_, client, message)])

    def _events(self, sql: Connection, rows: list[dict[str, Any]]) -> None:
        if rows:
            sql.execute(insert(t.events), rows)


def event_row(uid: str, at: datetime, type_: str, round_: int, client: str, message: str) -> dict[str, Any]:
    """A row of the table of events; what is said is cut."""
    return {"uid": uid, "at": at, "type": type_, "round": round_, "client": client, "message": message[:2000]}
