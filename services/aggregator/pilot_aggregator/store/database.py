"""A connection to the database, and the schema brought up to date."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event

BUSY_TIMEOUT_MS = 10_000


def connect(url: str) -> Engine:
    """An engine. SQLite gets the settings under which a killed process loses nothing that was committed."""
    engine = create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediately)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the schema to this version's."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one snapshot and holds no lock that a writer waits for."""
    with engine.connect().execution_options(pilot_reading=True) as connection:
        yield connection


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transactions begin too late for BEGIN IMMEDIATE; SQLAlchemy begins them instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediately(connection: Connection) -> None:
    # A transaction that starts as a reader and then writes fails at once when another has written: start as a writer.
    reader = connection.get_execution_options().get("pilot_reading", False)
    connection.exec_driver_sql("BEGIN" if reader else "BEGIN IMMEDIATE")
