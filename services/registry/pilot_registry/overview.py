"""What happened lately and how much is here, over all runs."""

from datetime import datetime

from pilot_proto.base import Stored
from pilot_proto.canonical import Digest
from pilot_proto.registry import RejectionView
from sqlalchemy import func, select

from pilot_registry.context import Registry
from pilot_registry.rejections import view_of
from pilot_registry.tables import AuditRow, Blob, Namespace, RejectionRow, Round, Version, VersionFile

PUBLISHED = "published"


class Merged(Stored):
    """One published round."""

    run: str
    round: int
    outputs: str
    at: str


class Storage(Stored):
    """Distinct bytes that some version, plan or ledger may name."""

    blobs: int
    bytes: int
    versions: int


def last_merges(registry: Registry, most: int) -> tuple[Merged, ...]:
    """The rounds that were published last."""
    query = select(AuditRow).where(AuditRow.action == PUBLISHED).order_by(AuditRow.sequence.desc()).limit(most)
    with registry.database.reading() as session:
        rows = session.scalars(query).all()
    places = [row.object.rpartition("/") for row in rows]
    return tuple(
        Merged(run=run, round=int(number), outputs=row.detail, at=row.at)
        for (run, _, number), row in zip(places, rows, strict=True)
    )


class Account(Stored):
    """Where a published round's account of its clients is."""

    run: str
    round: int
    at: str
    ledger: Digest


def last_ledgers(registry: Registry, most: int) -> tuple[Account, ...]:
    """Of the rounds that were published last, the newest first."""
    merges = last_merges(registry, most)
    runs = {merge.run for merge in merges}
    query = select(Round.run, Round.number, Round.ledger).join(Namespace, Namespace.uid == Round.uid)
    query = query.where(Namespace.run.in_(runs), Round.ledger.is_not(None))
    with registry.database.reading() as session:
        ledgers = {(row.run, row.number): row.ledger for row in session.execute(query)}
    return tuple(
        Account(run=m.run, round=m.round, at=m.at, ledger=ledgers[m.run, m.round])
        for m in merges
        if (m.run, m.round) in ledgers
    )


def rejections_since(registry: Registry, since: datetime, most: int) -> tuple[RejectionView, ...]:
    """What admission refused since then (UTC), newest first."""
    query = select(RejectionRow).order_by(RejectionRow.sequence.desc()).limit(most)
    with registry.database.reading() as session:
        rows = session.scalars(query.where(RejectionRow.at >= f"{since:%Y-%m-%dT%H:%M:%S}")).all()
        return tuple(view_of(row) for row in rows)


def storage(registry: Registry) -> Storage:
    """How much is here."""
    with registry.database.reading() as session:
        blobs, size = session.execute(select(func.count(), func.coalesce(func.sum(Blob.size), 0))).one()
        versions = session.scalar(select(func.count()).select_from(Version)) or 0
    return Storage(blobs=blobs, bytes=size, versions=versions)


def sent_by_round(registry: Registry, run: str) -> dict[int, int]:
    """Bytes of all updates that were accepted in each round of a run."""
    query = (
        select(Version.round, func.sum(VersionFile.size))
        .join(VersionFile, VersionFile.version_id == Version.id)
        .where(Version.run == run, Version.kind == "update")
        .group_by(Version.round)
    )
    with registry.database.reading() as session:
        return {number: int(size) for number, size in session.execute(query)}


def published_rounds(registry: Registry, run: str) -> list[int]:
    """The numbers of a run's published rounds, in order."""
    query = select(Round.number).join(Namespace, Namespace.uid == Round.uid).where(Namespace.run == run)
    query = query.where(Round.publication.is_not(None)).order_by(Round.number)
    with registry.database.reading() as session:
        return list(session.scalars(query))
