"""The store's copy of every transaction, from which the index can be rebuilt.

A transaction writes its rows and an outbox row together. After the commit the outbox is drained into the store; a
crash in between leaves the outbox, which the next start drains. Records in the store that the database has never
heard of (an emptied or older database) are replayed at the start, in order.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime

from pilot_http.problems import Unavailable
from pilot_proto.base import as_json
from pilot_proto.canonical import canonical_bytes
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from pilot_registry.database import Database
from pilot_registry.records import Entry, Fact
from pilot_registry.store.port import BlobStore
from pilot_registry.tables import DERIVED, JournalHead, Outbox, Version
from pilot_registry.transitions import apply

log = logging.getLogger(__name__)

PREFIX = "index/"
PER_FOLDER = 10_000


class Journal:
    """The order of all changes."""

    def __init__(self, database: Database, store: BlobStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._drain_lock = threading.Lock()

    def now(self) -> str:
        """The time as the index writes it."""
        return self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def append(self, session: Session, fact: Fact, by: str) -> None:
        """Record a fact and write its rows, within the caller's transaction. Call `drain` after the commit."""
        advance = update(JournalHead).values(last=JournalHead.last + 1).returning(JournalHead.last)
        last = session.execute(advance).scalar_one()
        entry = Entry(sequence=last, at=self.now(), by=by, fact=fact)
        apply(session, entry)
        session.add(Outbox(sequence=last, body=canonical_bytes(as_json(entry)).decode()))

    def drain(self) -> None:
        """Bring committed records into the store. What cannot be written now stays and is tried again later."""
        with self._drain_lock:
            try:
                self._drain()
            except OSError as error:
                log.error("index records wait in the outbox, the store refuses them: %s", error)

    def _drain(self) -> None:
        with self._database.reading() as session:
            waiting = session.execute(select(Outbox.sequence, Outbox.body).order_by(Outbox.sequence)).all()
        if not waiting:
            return
        for sequence, body in waiting:
            self._store.put_bytes(record_key(sequence), body.encode())
        with self._database.writing() as session:
            session.execute(delete(Outbox).where(Outbox.sequence.in_([sequence for sequence, _ in waiting])))

    def catch_up(self) -> int:
        """Replay the store's records that the database does not know; return how many."""
        with self._database.writing() as session:
            last = session.execute(select(JournalHead.last)).scalar_one()
            return self._replay(session, last)

    def rebuild(self) -> tuple[int, int]:
        """Throw the derived rows away and replay everything; return the number of records and of versions."""
        self.drain()
        with self._database.writing() as session:
            if session.scalar(select(func.count()).select_from(Outbox)):
                raise Unavailable("the store takes no index records now", hint="see the log; rebuild when it does")
            for table in DERIVED:
                session.execute(delete(table))
            records = self._replay(session, 0)
            return records, session.scalar(select(func.count()).select_from(Version)) or 0

    def _replay(self, session: Session, after: int) -> int:
        replayed, last = 0, after
        for entry in self._records(after):
            apply(session, entry)
            replayed, last = replayed + 1, entry.sequence
        session.execute(update(JournalHead).values(last=last))
        return replayed

    def _records(self, after: int) -> Iterator[Entry]:
        for stored in self._store.list(PREFIX):
            if sequence_of(stored.key) > after:
                with self._store.open(stored.key) as reader:
                    yield Entry.model_validate_json(reader.read_at(0, stored.size))


def record_key(sequence: int) -> str:
    """Where a record is in the store; the order of the keys is the order of the records."""
    return f"{PREFIX}{sequence // PER_FOLDER:06d}/{sequence:010d}.json"


def sequence_of(key: str) -> int:
    """The sequence in a record's key."""
    return int(key.rpartition("/")[2].removesuffix(".json"))
