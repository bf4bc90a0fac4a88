"""Sessions: readers that never block, writers that stand in line."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.orm import Session

SCHEMA_REVISION = "0001"
"""The migration that this code expects; a test compares it with the newest file."""


class Database:
    """An engine with two kinds of session."""

    def __init__(self, url: str, busy_timeout_ms: int) -> None:
        self.engine = _engine(url, busy_timeout_ms)
        self._writer = self.engine.execution_options(pilot_writes=True)

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
        """Bring the schema up to date. Alembic is loaded only when something is to do, for fast restarts."""
        if self._revision() == SCHEMA_REVISION:
            return
        from pilot_registry.migrations import upgrade

        upgrade(self.engine)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def _revision(self) -> str | None:
        with self.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
            return found


def _engine(url: str, busy_timeout_ms: int) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url)
    engine = create_engine(url, pool_size=8, max_overflow=64, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", partial(_prepare_sqlite, busy_timeout_ms))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(busy_timeout_ms: int, connection: sqlite3.Connection, _record: Any) -> None:
    # The driver's own transaction handling begins late and without IMMEDIATE: we say BEGIN ourselves.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {busy_timeout_ms}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A reader that turns writer can fail with "database is locked" at once, whatever the timeout: writers say so.
    writes = connection.get_execution_options().get("pilot_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
