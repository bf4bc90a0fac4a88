"""Sessions: readers that never block, writers that stand in line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pilot_disk.database import connect, upgrade, writer
from sqlalchemy.orm import Session

MIGRATIONS = Path(__file__).parent / "migrations"
LANDMARK = "journal_head"
"""A table that only a registry's database has."""


class Database:
    """An engine with two kinds of session."""

    def __init__(self, url: str, busy_timeout_ms: int) -> None:
        self.engine = connect(url, busy_timeout_ms)
        self._writer = writer(self.engine)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A consistent view; nothing is written."""
        with Session(self.engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction, committed at the end, rolled back by any exception."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def upgrade(self) -> None:
        """Bring the schema up to date."""
        upgrade(self.engine, MIGRATIONS, LANDMARK)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()
