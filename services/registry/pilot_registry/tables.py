"""The index in SQL. Every row but possessions, rejections and the outbox can be rebuilt from the store's journal.

Times are RFC 3339 strings in UTC, which sort as they are and mean the same to every database.
"""

from pilot_disk.columns import Words
from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    type_annotation_map = {str: Words}  # noqa: RUF012


class Namespace(Base):
    """Which run owns a name."""

    __tablename__ = "namespaces"
    run: Mapped[str] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)


class Round(Base):
    """A round's two transactions, as the canonical bytes that were answered."""

    __tablename__ = "rounds"
    uid: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[str]
    sealed: Mapped[str | None]
    publication: Mapped[str | None]
    plan: Mapped[str | None]
    ledger: Mapped[str | None]


class GrantRow(Base):
    __tablename__ = "grants"
    uid: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    client: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[str]
    revoked_at: Mapped[str | None]


class Participation(Base):
    """What one client has done in one run so far, added up: its rounds are too many to count for a page."""

    __tablename__ = "participations"
    client: Mapped[str] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(primary_key=True)
    run: Mapped[str]
    task: Mapped[str]
    sequence: Mapped[int]
    """Of the entry that asked it first: runs in the order in which the client came to them."""
    asked: Mapped[int]
    answered: Mapped[int]
    sent: Mapped[int] = mapped_column(BigInteger)
    """Bytes of its accepted updates."""
    answered_at: Mapped[str | None]
    """The last time."""
    __table_args__ = (
        Index("ix_participations_order", "client", "sequence"),
        # Everything that is added up for the list of clients: no row is read for it.
        Index("ix_participations_sums", "client", "task", "asked", "answered", "sent", "answered_at"),
    )


class Readable(Base):
    """One version that one grant lets its client read."""

    __tablename__ = "readable"
    uid: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    client: Mapped[str] = mapped_column(primary_key=True)
    commit: Mapped[str] = mapped_column(primary_key=True)
    __table_args__ = (Index("ix_readable_client_commit", "client", "commit"), Index("ix_readable_commit", "commit"))


class Blob(Base):
    """What admission found out about some bytes; outlives them."""

    __tablename__ = "blobs"
    digest: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    norm: Mapped[float | None]


class Possession(Base):
    """A principal sent these bytes for this round: only then may its commit name them."""

    __tablename__ = "possessions"
    principal: Mapped[str] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    __table_args__ = (Index("ix_possessions_digest", "digest"),)


class Version(Base):
    __tablename__ = "versions"
    id: Mapped[int] = mapped_column(primary_key=True)
    repo: Mapped[str]
    commit: Mapped[str]
    uid: Mapped[str | None]
    """The run that made it; none for a released version, which has outlived its run."""
    run: Mapped[str]
    kind: Mapped[str]
    round: Mapped[int]
    client: Mapped[str | None]
    task: Mapped[str | None]
    private_to: Mapped[str | None]
    """The only contributor, whose data it may give away."""
    manifest: Mapped[str]
    """Canonical bytes, as committed."""
    created_at: Mapped[str]
    deleted_at: Mapped[str | None]
    __table_args__ = (
        UniqueConstraint("repo", "commit"),
        Index("ix_versions_commit", "commit", "repo"),
        Index("ix_versions_place", "uid", "round", "kind", "client"),
        Index("ix_versions_search", "run", "kind", "client", "round"),
        # A listing walks this one from its end, whatever it filters by: newest first, and no manifest is read for
        # what does not match. So it holds every column of a filter, of `visible_to` and of a search.
        Index(
            "ix_versions_listing",
            *("id", "run", "kind", "client", "task", "round", "private_to", "deleted_at", "repo", "commit"),
        ),
        Index("ix_versions_runs", "run", "private_to", "round", "created_at"),
    )


class VersionFile(Base):
    __tablename__ = "version_files"
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (Index("ix_version_files_digest", "digest"),)


class Alias(Base):
    __tablename__ = "aliases"
    repo: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    commit: Mapped[str]
    moved_at: Mapped[str]
    moved_by: Mapped[str]


class Edge(Base):
    """A parent of a version; `position` keeps the manifest's order."""

    __tablename__ = "edges"
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    parent_repo: Mapped[str]
    parent_commit: Mapped[str]
    coefficient: Mapped[float | None]
    __table_args__ = (Index("ix_edges_parent", "parent_commit", "parent_repo"),)


class RejectionRow(Base):
    __tablename__ = "rejections"
    sequence: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str]
    run: Mapped[str]
    number: Mapped[int]
    client: Mapped[str]
    code: Mapped[str]
    message: Mapped[str]
    at: Mapped[str]
    __table_args__ = (
        Index("ix_rejections_place", "uid", "number"),
        Index("ix_rejections_client", "client", "sequence"),
        Index("ix_rejections_run", "run", "sequence"),
        Index("ix_rejections_code", "code", "sequence"),
        {"sqlite_autoincrement": True},
    )


class AuditRow(Base):
    __tablename__ = "audit"
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str]
    by: Mapped[str]
    action: Mapped[str]
    object: Mapped[str]
    detail: Mapped[str]
    __table_args__ = (
        # Each ends with what the other filter asks for, so that no row is read which does not match.
        Index("ix_audit_action", "action", "sequence", "by"),
        Index("ix_audit_by", "by", "sequence", "action"),
        Index("ix_audit_object", "object", "sequence"),
    )


class Outbox(Base):
    """Index records that are committed here and may not be in the store yet."""

    __tablename__ = "outbox"
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body: Mapped[str]


class JournalHead(Base):
    """The last sequence given out. Updating this one row also puts writers in one order on any database."""

    __tablename__ = "journal_head"
    id: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[int] = mapped_column(BigInteger)


DERIVED = (Edge, VersionFile, Version, Alias, Readable, Participation, GrantRow, Round, Namespace, AuditRow)
"""What a replay of the journal rebuilds, in an order in which it may be deleted."""
