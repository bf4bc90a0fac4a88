"""Deleting blobs that nothing refers to any more: mark from rows, sweep what is old enough."""

import logging
from collections.abc import Iterator
from datetime import timedelta

from pilot_proto.registry import GcReport
from sqlalchemy import CompoundSelect, select, union
from sqlalchemy.orm import Session

from pilot_registry.context import Registry
from pilot_registry.store.port import Stored, digest_of_key
from pilot_registry.tables import GrantRow, Possession, Round, Version, VersionFile

log = logging.getLogger(__name__)

PREFIX = "blobs/"
BATCH = 200


def collect(registry: Registry, older_than_s: int, *, dry_run: bool, serving: bool = True) -> GcReport:
    """Sweep blobs that were put more than `older_than_s` seconds ago and that nothing refers to.

    Unfinished uploads too, but only by the process that is `serving`: no other knows who is sending.
    """
    put_before = (registry.clock() - timedelta(seconds=older_than_s)).timestamp()
    blobs = size = kept = 0
    for batch in _batches(registry.store.list(PREFIX)):
        old = [stored for stored in batch if stored.put_at < put_before]
        removed = _sweep(registry, old, put_before, dry_run)
        blobs, size = blobs + len(removed), size + sum(stored.size for stored in removed)
        kept += len(batch) - len(removed)
    uploads = registry.sessions.sweep(put_before, dry_run=dry_run) if serving else 0
    if not dry_run:
        registry.metrics.gc_runs.inc()
        registry.metrics.gc_blobs.inc(blobs)
        registry.metrics.gc_bytes.inc(size)
        log.info("garbage collection: %d blobs, %d bytes, %d uploads", blobs, size, uploads)
    return GcReport(dry_run=dry_run, blobs=blobs, bytes=size, kept=kept, uploads=uploads)


def _sweep(registry: Registry, old: list[Stored], put_before: float, dry_run: bool) -> list[Stored]:
    digests = {digest_of_key(stored.key) for stored in old}
    if dry_run:
        with registry.database.reading() as session:
            used = _used(session, digests)
        return [stored for stored in old if digest_of_key(stored.key) not in used]
    # Commits and publications are writers too: none can begin to use a blob between this look and the deletion.
    with registry.database.writing() as session:
        used = _used(session, digests)
        garbage = [stored for stored in old if digest_of_key(stored.key) not in used]
        return [stored for stored in garbage if registry.store.delete_older(stored.key, put_before)]


def _used(session: Session, digests: set[str]) -> set[str]:
    """Those of the digests that a living version, a published plan or ledger, or an open grant needs."""
    versions = select(VersionFile.digest).join(Version, Version.id == VersionFile.version_id)
    possessions = select(Possession.digest).join(
        Round, (Round.uid == Possession.uid) & (Round.number == Possession.number)
    )
    grant = (
        (GrantRow.uid == Possession.uid)
        & (GrantRow.number == Possession.number)
        & (Possession.principal == "client:" + GrantRow.client)
    )
    roots: CompoundSelect[tuple[str]] = union(
        versions.where(Version.deleted_at.is_(None), VersionFile.digest.in_(digests)),
        select(Round.plan).where(Round.plan.in_(digests)),
        select(Round.ledger).where(Round.ledger.in_(digests)),
        possessions.join(GrantRow, grant).where(
            Possession.digest.in_(digests), GrantRow.revoked_at.is_(None), Round.sealed.is_(None)
        ),
        possessions.where(
            Possession.digest.in_(digests), Possession.principal == "aggregator", Round.publication.is_(None)
        ),
    )
    return set(session.scalars(roots))


def _batches(found: Iterator[Stored]) -> Iterator[list[Stored]]:
    batch: list[Stored] = []
    for stored in found:
        batch.append(stored)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
