"""A database under which a killed process loses nothing that was committed, and its schema brought up to date."""

import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text

BUSY_TIMEOUT_MS = 5000


def connect(url: str, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Engine:
    """An engine for readers, who never block; see `writer`. A writer waits its turn for `busy_timeout_ms`."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, pool_size=8, max_overflow=64, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", partial(_prepare_sqlite, busy_timeout_ms))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def writer(engine: Engine) -> Engine:
    """The same engine for transactions that write; on SQLite they stand in line from their first statement."""
    return engine.execution_options(pilot_writes=True)


def upgrade(engine: Engine, migrations: Path) -> None:
    """Apply the migrations of a folder that are missing. Alembic is loaded only if there are any, for fast restarts.

    The folder has alembic's shape; files in `versions/` are named `REVISION_what.py`, in order.
    """
    newest = max(file.name for file in (migrations / "versions").glob("*_*.py")).partition("_")[0]
    if _revision(engine) == newest:
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    with writer(engine).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found


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
