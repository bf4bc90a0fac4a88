"""The tables. Documents are canonical JSON text; what is queried has a column of its own."""

from datetime import UTC, datetime

from pilot_disk.columns import Words
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
    Table,
    TypeDecorator,
)
from sqlalchemy.engine import Dialect

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "fk": "fk_%(table_name)s_%(column_0_N_name)s"}
)


class Instant(TypeDecorator[datetime]):
    """A moment in UTC: SQLite forgets time zones, and Postgres answers in its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


runs = Table(
    "runs",
    metadata,
    Column("uid", Words, primary_key=True),
    Column("name", Words, nullable=False, unique=True),
    Column("spec", Words, nullable=False),
    Column("clients", Words, nullable=False),
    Column("model", Words, nullable=False),
    Column("phase", Words, nullable=False),
    Column("conditions", Words, nullable=False),
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
    Column("uid", Words, nullable=False),
    Column("number", Integer, nullable=False),
    Column("program", Words, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("quorum_at", Instant),
    Column("sealed", Words),
    Column("measured", Words),
    Column("updates", Words),
    Column("plan", Words),
    Column("ledger", Words),
    Column("merged", Words),
    Column("publication", Words),
    Column("slots", Words),
    Column("accepted", Words),
    Column("ended_at", Instant),
    PrimaryKeyConstraint("uid", "number"),
    ForeignKeyConstraint(["uid"], ["runs.uid"]),
)

assignments = Table(
    "assignments",
    metadata,
    Column("uid", Words, nullable=False),
    Column("number", Integer, nullable=False),
    Column("client", Words, nullable=False),
    Column("task", Words, nullable=False),
    Column("digest", Words, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("budget_from", Integer, nullable=False),
    Column("failure", Words, nullable=False),
    Column("verdict", Words),
    Column("verdict_reason", Words),
    Column("verdict_by", Words),
    Column("verdict_at", Instant),
    PrimaryKeyConstraint("uid", "number", "client"),
    ForeignKeyConstraint(["uid", "number"], ["rounds.uid", "rounds.number"]),
)

attempts = Table(
    "attempts",
    metadata,
    Column("uid", Words, nullable=False),
    Column("number", Integer, nullable=False),
    Column("client", Words, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("job", Words, nullable=False, unique=True),
    Column("rendered", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("created", Boolean, nullable=False),
    Column("exit_code", Integer),
    Column("message", Words, nullable=False),
    Column("intended_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("timings", Words),
    PrimaryKeyConstraint("uid", "number", "client", "attempt"),
    ForeignKeyConstraint(["uid", "number", "client"], ["assignments.uid", "assignments.number", "assignments.client"]),
)

exports = Table(
    "exports",
    metadata,
    Column("uid", Words, nullable=False),
    Column("number", Integer, nullable=False),
    Column("client", Words, nullable=False),
    Column("point", Words, nullable=False),
    Column("merge_lora", Boolean, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("job", Words, nullable=False, unique=True),
    Column("folder", Words, nullable=False),
    Column("rendered", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("created", Boolean, nullable=False),
    Column("exit_code", Integer),
    Column("message", Words, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    PrimaryKeyConstraint("uid", "number", "client", "point", "merge_lora", "sequence"),
    ForeignKeyConstraint(["uid", "number", "client"], ["assignments.uid", "assignments.number", "assignments.client"]),
    Index(None, "state"),
)
"""Jobs that make clients' personal models. Another one for the same model has the next `sequence`."""

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("uid", Words, nullable=False),
    Column("at", Instant, nullable=False),
    Column("type", Words, nullable=False),
    Column("round", Integer, nullable=False),
    Column("client", Words, nullable=False),
    Column("message", Words, nullable=False),
    Index(None, "uid", "id"),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Words, nullable=False),
    Column("uid", Words, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("delivered_at", Instant),
    Column("given_up_at", Instant),
    Column("error", Words, nullable=False),
    PrimaryKeyConstraint("id"),
    ForeignKeyConstraint(["uid"], ["runs.uid"]),
    Index(None, "due_at"),
)
"""What the deployment's webhook is to be told, and how that went."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("principal", Words, nullable=False),
    Column("key", Words, nullable=False),
    Column("request", Words, nullable=False),
    Column("run", Words, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("principal", "key"),
)

leadership = Table(
    "leadership",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("fence", Integer, nullable=False),
)
"""One row: the present term of who may write, where several aggregators work on one database."""
