"""What a database says when it cannot be used, in one sentence that says what to do."""

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

REMEDIES = (
    ("password authentication failed", "check the user and the password in its address"),
    ("no password supplied", "give the password in its address, or a PGPASSFILE"),
    ("no pg_hba.conf entry", "let the server admit this user from here (pg_hba.conf)"),
    ('role "', "create the user, or name another in its address"),
    ("does not exist", "create it first: CREATE DATABASE NAME"),
    ("permission denied", "let the user own the database: ALTER DATABASE NAME OWNER TO USER"),
    ("too many", "raise max_connections of the server; each service opens up to 32"),
    ("resolve host", "check the host in its address"),
    ("translate host", "check the host in its address"),
    ("does not support SSL", "let the server offer TLS, or take sslmode out of its address"),
    ("certificate", "name the authority's certificate with ?sslrootcert=FILE in its address"),
)
"""Some words of the server's, and what helps; the first that fits counts."""
OTHERWISE = "is it running, and can it be reached from here?"


class DatabaseUnusable(Exception):
    """The database cannot be reached, refuses, or is not ours."""


def unusable(url: URL, error: SQLAlchemyError) -> DatabaseUnusable:
    """The sentence for an error, without the password."""
    said = reason(error)
    if url.get_backend_name() != "postgresql":
        return DatabaseUnusable(f"the database {shown(url)} cannot be used: {said}")
    remedy = next((remedy for words, remedy in REMEDIES if words in said), OTHERWISE)
    return DatabaseUnusable(f"the database {shown(url)} cannot be used: {said}; {remedy}")


def shown(url: URL) -> str:
    """Its address as people may see it."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def reason(error: SQLAlchemyError) -> str:
    """The last thing that the driver said: a server's refusal stands behind all that was tried before it."""
    whole = str(error.orig) if isinstance(error, DBAPIError) and error.orig else str(error)
    lines = [line.strip() for line in whole.splitlines() if line.strip() and not line.startswith("(Background")]
    said = next((line for line in reversed(lines) if "FATAL:" in line), lines[0] if lines else type(error).__name__)
    return said.rpartition("FATAL:")[2].strip().rstrip(".")
