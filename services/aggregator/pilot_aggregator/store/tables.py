"""The tables. Documents are canonical JSON text; what is queried has a column of its own."""

from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.engine import Dialect

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "fk": "fk_%(table_name)s_%(column_0_N_name)s"}
)


class Instant(TypeDecorator[datetime]):
    """A moment in UTC; SQLite forgets time zones, so they are put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


runs = Table(
    "runs",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("name", String(40), nullable=False, unique=True),
    Column("spec", Text, nullable=False),
    Column("clients", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("phase", String(16), nullable=False),
    Column("conditions", Text, nullable=False),
    Column("round", Integer, nullable=False),
    Column("published", Integer, nullable=False),
    Column("through", Integer, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("cancelling", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("revision", Integer, nullable=False),
    Index(None, "phase", "created_at"),
    Index(None, "created_at"),
)

rounds = Table(
    "rounds",
    metadata,
    Column("uid", String(32), nullable=False),
    Column("number", Integer, nullable=False),
    Column("program", String(16), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("quorum_at", Instant),
    Column("sealed", Text),
    Column("measured", Text),
    Column("updates", Text),
    Column("plan", Text),
    Column("ledger", Text),
    Column("merged", Text),
    Column("publication", Text),
    Column("slots", Text),
    Column("accepted", Text),
    Column("ended_at", Instant),
    PrimaryKeyConstraint("uid", "number"),
    ForeignKeyConstraint(["uid"], ["runs.uid"]),
)

assignments = Table(
    "assignments",
    metadata,
    Column("uid", String(32), nullable=False),
    Column("number", Integer, nullable=False),
    Column("client", String(40), nullable=False),
    Column("task", String(40), nullable=False),
    Column("digest", String(80), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("budget_from", Integer, nullable=False),
    Column("failure", Text, nullable=False),
    Column("verdict", String(8)),
    Column("verdict_reason", Text),
    PrimaryKeyConstraint("uid", "number", "client"),
    ForeignKeyConstraint(["uid", "number"], ["rounds.uid", "rounds.number"]),
)

attempts = Table(
    "attempts",
    metadata,
    Column("uid", String(32), nullable=False),
    Column("number", Integer, nullable=False),
    Column("client", String(40), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("job", String(52), nullable=False, unique=True),
    Column("rendered", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", Boolean, nullable=False),
    Column("exit_code", Integer),
    Column("message", Text, nullable=False),
    Column("intended_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    PrimaryKeyConstraint("uid", "number", "client", "attempt"),
    ForeignKeyConstraint(["uid", "number", "client"], ["assignments.uid", "assignments.number", "assignments.client"]),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("uid", String(32), nullable=False),
    Column("at", Instant, nullable=False),
    Column("type", String(40), nullable=False),
    Column("round", Integer, nullable=False),
    Column("client", String(40), nullable=False),
    Column("message", Text, nullable=False),
    Index(None, "uid", "id"),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(60), nullable=False),
    Column("uid", String(32), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("delivered_at", Instant),
    Column("given_up_at", Instant),
    Column("error", Text, nullable=False),
    PrimaryKeyConstraint("id"),
    ForeignKeyConstraint(["uid"], ["runs.uid"]),
    Index(None, "due_at"),
)
"""What the deployment's webhook is to be told, and how that went."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("principal", String(60), nullable=False),
    Column("key", String(200), nullable=False),
    Column("request", String(80), nullable=False),
    Column("run", String(40), nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("principal", "key"),
)
