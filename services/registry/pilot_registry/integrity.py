"""Does the store hold what the index says, and the index what the journal says?"""

import hashlib
from collections.abc import Iterator

from pilot_proto.registry import CheckFault, CheckReport
from sqlalchemy import select
from sqlalchemy.orm import Session

from pilot_registry.context import Registry
from pilot_registry.journal import PREFIX as RECORDS
from pilot_registry.journal import sequence_of
from pilot_registry.store.port import BlobMissing, Stored, blob_key, digest_of_key
from pilot_registry.tables import AuditRow, Blob, Outbox, Round, Version, VersionFile

BLOBS = "blobs/"
READ_BYTES = 8 << 20


def check(registry: Registry, *, deep: bool) -> CheckReport:
    """Compare store, index and journal; with `deep`, hash every blob that is needed. Changes nothing.

    What is uploaded, committed or collected meanwhile can show as a fault: check again before believing one.
    """
    with registry.database.reading() as session:
        needed = _needed(session)
        waiting = set(session.scalars(select(Outbox.sequence)))
        known = set(session.scalars(select(AuditRow.sequence)))
    found = {digest_of_key(stored.key): stored for stored in registry.store.list(BLOBS)}
    faults = [*_blob_faults(needed, found)]
    if deep:
        faults += _content_faults(registry, needed.keys() & found.keys())
    recorded = {sequence_of(stored.key) for stored in registry.store.list(RECORDS)}
    faults += _journal_faults(known, recorded, waiting)
    return CheckReport(
        ok=not faults,
        deep=deep,
        blobs=len(found),
        bytes=sum(stored.size for stored in found.values()),
        orphans=len(found.keys() - needed.keys()),
        records=len(recorded),
        faults=tuple(faults),
    )


def _needed(session: Session) -> dict[str, int | None]:
    """The size of every blob that a living version, plan or ledger names; None where only the digest is known."""
    living = (
        select(VersionFile.digest, VersionFile.size)
        .join(Version, Version.id == VersionFile.version_id)
        .where(Version.deleted_at.is_(None))
    )
    needed: dict[str, int | None] = {}
    for digest, size in session.execute(living):
        needed[digest] = size
    for documents in session.execute(select(Round.plan, Round.ledger)):
        for digest in documents:
            if digest is not None:
                needed.setdefault(digest, session.scalar(select(Blob.size).where(Blob.digest == digest)))
    return needed


def _blob_faults(needed: dict[str, int | None], found: dict[str, Stored]) -> Iterator[CheckFault]:
    for digest, size in sorted(needed.items()):
        stored = found.get(digest)
        if stored is None:
            yield CheckFault(code="missing", object=digest, detail="the index names it, the store has it not")
        elif size is not None and stored.size != size:
            yield CheckFault(code="wrong_size", object=digest, detail=f"{stored.size} bytes; the index says {size}")


def _content_faults(registry: Registry, digests: set[str]) -> list[CheckFault]:
    faults = []
    for digest in sorted(digests):
        if (real := _hash(registry, digest)) != digest:
            faults.append(CheckFault(code="wrong_content", object=digest, detail=f"its bytes are {real}"))
    return faults


def _hash(registry: Registry, digest: str) -> str:
    hashed, begin = hashlib.sha256(), 0
    try:
        with registry.store.open(blob_key(digest)) as reader:
            while data := reader.read_at(begin, READ_BYTES):
                hashed.update(data)
                begin += len(data)
    except BlobMissing:
        return "gone"
    return "sha256:" + hashed.hexdigest()


def _journal_faults(known: set[int], recorded: set[int], waiting: set[int]) -> Iterator[CheckFault]:
    if waiting:
        yield CheckFault(code="outbox", object="journal", detail=f"{len(waiting)} records are not in the store yet")
    if missing := sorted(known - recorded - waiting):
        detail = f"{len(missing)} records are in the index and not in the store, the first is {missing[0]}"
        yield CheckFault(code="journal_incomplete", object="journal", detail=detail)
    if unknown := sorted(recorded - known):
        detail = f"{len(unknown)} records are in the store and not in the index, the first is {unknown[0]}; reindex"
        yield CheckFault(code="index_behind", object="journal", detail=detail)
