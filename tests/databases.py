"""Databases for tests, each belonging to a folder: SQLite in it, or, for modules that ask for it, Postgres as well.

A test that uses `each_database` runs on both, and so do all tests of a module that imports `every_database`.
`url_for` is where a folder's database is.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import postgres
import psycopg
import pytest
from pilot_disk.database import connect, upgrade
from sqlalchemy import event
from sqlalchemy.pool import Pool


@dataclass
class Allotment:
    """Databases of one server, given out to folders."""

    server: postgres.Server
    taken: dict[Path, str] = field(default_factory=dict)
    opened: list[psycopg.Connection] = field(default_factory=list)

    def url(self, folder: Path, template: str) -> str:
        """The folder's database, made from a template when it is first asked for."""
        if folder not in self.taken:
            self.taken[folder] = self.server.create(template)
        return self.server.url(self.taken[folder])

    def close(self) -> None:
        """Drop them all, and let go of the connections that a test has left open."""
        for connection in self.opened:
            connection.close()
        for name in self.taken.values():
            self.server.drop(name)
        self.taken.clear()


_current: Allotment | None = None
"""Set while a test is to run on Postgres: the worlds of the tests are made by plain functions, which ask here."""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A server, for all tests of this process."""
    postgres.demand_postgres()
    with postgres.serving() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def each_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which kind of database the test runs on."""
    global _current
    if request.param == "sqlite":
        yield request.param
        return
    allotment = _current = Allotment(request.getfixturevalue("postgres_server"))

    def remember(connection: object, _record: object) -> None:
        if isinstance(connection, psycopg.Connection):
            allotment.opened.append(connection)

    event.listen(Pool, "connect", remember)
    yield request.param
    event.remove(Pool, "connect", remember)
    _current = None
    allotment.close()


@pytest.fixture(autouse=True)
def every_database(each_database: str) -> str:
    """The same, for all tests of the module that imports it."""
    return each_database


def url_for(folder: Path, migrations: Path, landmark: str) -> str | None:
    """The folder's database with the schema in it; None for SQLite in a file of its own choice."""
    if _current is None:
        return None
    return _current.url(folder, _template(_current.server.folder, migrations, landmark))


def empty_for(folder: Path, file: str) -> str:
    """A database without anything in it, of either kind."""
    return _current.url(folder / file, "template1") if _current else f"sqlite:///{folder / file}"


@cache
def _template(server: Path, migrations: Path, landmark: str) -> str:
    """A database with a schema; migrating takes longer than most tests."""
    assert _current
    name = _current.server.create()
    engine = connect(_current.server.url(name))
    upgrade(engine, migrations, landmark)
    engine.dispose()
    return name


def lose(folder: Path, file: Path) -> None:
    """The folder's database is gone, as after a disaster; `file` is what SQLite calls it."""
    if _current:
        _current.server.drop(_current.taken.pop(folder))
        return
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()


def back_up(folder: Path, file: Path) -> Callable[[], object]:
    """Keep what the folder's database holds, while nobody has it open; call the answer to bring it back."""
    if _current:
        current = _current
        kept = current.taken[folder / "backup"] = current.server.create(current.taken[folder])
        return lambda: current.taken.__setitem__(folder, current.server.create(kept))
    copy = file.with_name("backup")
    shutil.copy(file, copy)
    return lambda: bool(shutil.copy(copy, file))
