"""A database under which a killed process loses nothing that was committed, and its schema brought up to date.

SQLite in a file, or Postgres. Both give the same promises: a reader has one consistent view and blocks nobody;
writers stand in line from their first statement, so that what one has read stays true until it has written.
"""

import sqlite3
from functools import partial
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import IsolationLevel
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from pilot_disk.faults import DatabaseUnusable, shown, unusable

ADDRESS = "postgresql://USER@HOST/NAME"
BUSY_TIMEOUT_MS = 5000
LINE = 7_209_425_118
"""The key of the advisory lock that puts the writers of one Postgres database in line; any number does."""

# A Postgres that vanished without a word must not hold anybody for the hours that TCP would wait.
PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def connect(url: str, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Engine:
    """An engine for readers, who never block; see `writer`. A writer waits its turn for `busy_timeout_ms`.

    Raises:
        DatabaseUnusable: the URL names neither SQLite nor Postgres.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "postgresql":
        return _postgres(parsed, busy_timeout_ms)
    engine = create_engine(parsed, pool_size=8, max_overflow=64, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", partial(_prepare_sqlite, busy_timeout_ms))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def writer(engine: Engine) -> Engine:
    """The same engine for transactions that write: they stand in line from their first statement."""
    return engine.execution_options(pilot_writes=True)


def upgrade(engine: Engine, migrations: Path, landmark: str) -> None:
    """Apply the migrations of a folder that are missing. Alembic is loaded only if there are any, for fast restarts.

    The folder has alembic's shape; files in `versions/` are named `REVISION_what.py`, in order. `landmark` is a table
    that only this schema has.

    Raises:
        DatabaseUnusable: it cannot be reached, refuses, or holds another schema; in one sentence.
    """
    newest = max(file.name for file in (migrations / "versions").glob("*_*.py")).partition("_")[0]
    try:
        with engine.connect() as connection:
            if _revision(connection, landmark, newest) == newest:
                return
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(migrations).replace("%", "%%"))
        with writer(engine).begin() as connection:
            # Once more, as the only writer: another service may have begun to live here in between.
            _revision(connection, landmark, newest)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise unusable(engine.url, error) from error


def check(engine: Engine) -> None:
    """Ask the database for something.

    Raises:
        DatabaseUnusable: it does not answer; in one sentence.
    """
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise unusable(engine.url, error) from error


def _revision(connection: Connection, landmark: str, newest: str) -> str | None:
    """The schema's revision; refuses what is somebody else's, or from the future."""
    tables = inspect(connection)
    if not tables.has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    where = shown(connection.engine.url)
    if found and not tables.has_table(landmark):
        raise DatabaseUnusable(
            f"the database {where} holds the tables of something else; give each service a database of its own"
        )
    if found and found > newest:
        raise DatabaseUnusable(
            f"the database {where} was written by a newer version (schema {found}, not {newest}); "
            "run that version, or restore the backup from before it"
        )
    return found


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except ArgumentError as error:
        raise DatabaseUnusable("the address of the database cannot be read; write " + ADDRESS) from error
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise DatabaseUnusable(f"{backend!r} is no database that Pilot knows; write {ADDRESS}")
    return parsed


def _postgres(url: URL, busy_timeout_ms: int) -> Engine:
    patience = {name: value for name, value in PATIENCE.items() if name not in url.query}
    engine = create_engine(
        url,
        pool_size=8,
        # Two services of this size stay below the hundred connections that a Postgres grants by default.
        max_overflow=24,
        # Finds out about a database that was restarted before the request does.
        pool_pre_ping=True,
        connect_args=patience,
    )
    event.listen(engine, "begin", partial(_begin_postgres, busy_timeout_ms))
    return engine


def _begin_postgres(busy_timeout_ms: int, connection: Connection) -> None:
    driver = cast(psycopg.Connection, connection.connection.driver_connection)
    writes = connection.get_execution_options().get("pilot_writes", False)
    # Said with the BEGIN that the driver is about to send. A reader has one view from its first statement on; each
    # statement of a writer must see what was committed while it stood in line.
    driver.read_only = not writes
    driver.isolation_level = IsolationLevel.READ_COMMITTED if writes else IsolationLevel.REPEATABLE_READ
    if writes:
        # Row locks alone would leave gaps: rows that two writers are about to insert, numbers of events that are
        # given out in one order and committed in another.
        connection.exec_driver_sql(
            "SELECT set_config('lock_timeout', %s, true), pg_advisory_xact_lock(%s)", (str(busy_timeout_ms), LINE)
        )


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
