"""A private Postgres for tests: no password on its socket, nothing synced to disk, gone at the end.

Without one such tests are skipped, visibly; where PILOT_REQUIRE names postgres, they fail instead.
"""

import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

READY_S = 60
ADMIN = "postgres"
UNPRIVILEGED = "nobody"
"""Postgres refuses to run as root."""
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Not where we are, so that a moment that is taken for local time shows.
    "timezone": "Asia/Kathmandu",
}


@dataclass
class Server:
    """A running server."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """Through its socket, where everybody is welcome."""
        return f"postgresql+psycopg://{ADMIN}@/{database}?host={self.folder}&port={self.port}"

    def address(self, database: str, user: str, password: str) -> str:
        """Over the network, where it asks for a password."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def say(self, statement: sql.Composable | str, database: str = ADMIN) -> list[tuple[object, ...]]:
        """One statement by the administrator, outside any transaction."""
        with psycopg.connect(
            host=str(self.folder), port=self.port, user=ADMIN, dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(statement if isinstance(statement, sql.Composable) else sql.SQL(statement))
            return cursor.fetchall() if cursor.description else []

    def create(self, template: str = "template1") -> str:
        """A new database, as a copy of another; its name."""
        name = f"t_{secrets.token_hex(6)}"
        self.say(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop(self, name: str) -> None:
        self.say(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def user(self) -> tuple[str, str]:
        """A user who may do nothing yet, and their password."""
        name, password = f"u_{secrets.token_hex(4)}", secrets.token_hex(8)
        self.say(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password)))
        return name, password

    def start(self) -> None:
        """Start, or start again, and wait until it answers."""
        options = {**SETTINGS, "port": self.port, "listen_addresses": "127.0.0.1"}
        options["unix_socket_directories"] = self.folder
        flags = [flag for name, value in options.items() for flag in ("-c", f"{name}={value}")]
        command = [*unprivileged(), program("postgres"), "-D", str(self.folder / "data"), *flags]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            with suppress(psycopg.OperationalError):
                self.say("SELECT 1")
                return
            time.sleep(0.02)
        raise AssertionError(f"Postgres was not ready within {READY_S} s")

    def stop(self) -> None:
        """At once, whoever is connected."""
        assert self.process
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


@contextmanager
def serving() -> Iterator[Server]:
    """A server in a folder of its own."""
    # Not below pytest's folder, which is closed to others, and short enough for the name of a socket.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = Server(folder, _free_port())
    try:
        if os.geteuid() == 0:
            owner = pwd.getpwnam(UNPRIVILEGED)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        # A language whose order of words is not that of code points: what depends on the order has to say so.
        language = ["--locale-provider=icu", "--icu-locale=en-US", "--encoding=UTF8", "--locale=C"]
        trust = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--username={ADMIN}", "--no-sync"]
        made = subprocess.run(
            [*unprivileged(), program("initdb"), "-D", str(folder / "data"), *language, *trust],
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        server.start()
        yield server
    finally:
        if server.process:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def demand_postgres() -> None:
    """Skip the test, or fail it, where there is no server to run."""
    if program("postgres") and program("initdb"):
        return
    if "postgres" in os.environ.get("PILOT_REQUIRE", ""):
        pytest.fail("PILOT_REQUIRE names postgres, but there is none: apt-get install postgresql")
    pytest.skip("no Postgres: apt-get install postgresql")


def program(name: str) -> str:
    """A program of the newest Postgres here; Debian keeps them off the path. Empty where there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(debian[-1]) if debian else shutil.which(name) or ""


def unprivileged() -> list[str]:
    """What to put before a command that root must not run."""
    if os.geteuid() != 0:
        return []
    owner = pwd.getpwnam(UNPRIVILEGED)
    return ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", "--"]


def _free_port() -> int:
    for _ in range(100):
        # Below the range from which the system takes ports for connections.
        port = random.randrange(20000, 32000)
        with suppress(OSError), socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")
