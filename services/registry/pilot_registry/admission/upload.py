"""One uploaded file, from its first byte to its place in the store: the checks in their order."""

import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool
from pilot_http.auth import Principal
from pilot_http.problems import Forbidden, NotFound, PilotError
from pilot_proto.grant import Grant
from pilot_proto.names import ADAPTER_FILE
from pilot_proto.registry import FileReceipt
from pilot_proto.tensors import TensorSpec
from sqlalchemy import select
from sqlalchemy.orm import Session

from pilot_registry import grants
from pilot_registry.admission.checks import check_digest, check_json, check_kind, check_schema, check_size, limit_of
from pilot_registry.admission.content import norm
from pilot_registry.admission.staging import StagedFile
from pilot_registry.admission.tensors import float_chunks, read_header
from pilot_registry.context import Registry
from pilot_registry.errors import Refused
from pilot_registry.rejections import record_rejection
from pilot_registry.store.port import blob_key
from pilot_registry.tables import Blob, Namespace, Possession

BATCH_BYTES = 1 << 20
"""Received bytes are hashed and written in a thread, this many at a time."""


@dataclass(frozen=True)
class Upload:
    """What a request says it sends."""

    principal: Principal
    digest: str
    uid: str
    round: int
    kind: str
    client: str | None
    declared_size: int | None


@dataclass(frozen=True)
class Permit:
    """What may come in: at most so many bytes, of this schema."""

    limit: int
    schema: dict[str, TensorSpec] | None


async def receive(registry: Registry, upload: Upload, body: AsyncIterator[bytes]) -> tuple[FileReceipt, bool]:
    """Take in a file; the receipt, and whether this principal had sent it before in this round.

    Raises:
        Refused: an admission check failed; it is recorded, and nothing of the file stays.
    """
    try:
        permit = await run_in_threadpool(_permit, registry, upload)
        with registry.staging.begin(permit.limit) as staged:
            await _stage(body, staged)
            receipt, known = await run_in_threadpool(_admit, registry, upload, permit, staged)
    except PilotError as error:
        await run_in_threadpool(_refuse, registry, upload, error)
        raise
    registry.metrics.uploads.labels(upload.kind, "admitted", "").inc()
    registry.metrics.upload_bytes.inc(receipt.size)
    return receipt, known


async def _stage(body: AsyncIterator[bytes], staged: StagedFile) -> None:
    waiting: list[bytes] = []
    size = 0
    async for piece in body:
        waiting.append(piece)
        size += len(piece)
        if size >= BATCH_BYTES:
            await run_in_threadpool(staged.write, b"".join(waiting))
            waiting, size = [], 0
    await run_in_threadpool(staged.write, b"".join(waiting))


def _permit(registry: Registry, upload: Upload) -> Permit:
    """Checks 1 to 3: who, when, how much."""
    _check_identity(upload)
    with registry.database.reading() as session:
        if upload.client is None:
            _check_run(session, upload.uid)
            permit = Permit(registry.settings.max_output_bytes, None)
        else:
            grant = grants.open_grant(session, upload.uid, upload.round, upload.client)
            check_kind(grant, upload.kind)
            schema = _schema(registry, grant, upload.kind)
            permit = Permit(limit_of(grant, upload.kind, schema), schema)
    check_size(upload.declared_size or 0, permit.limit)
    return permit


def _check_identity(upload: Upload) -> None:
    principal = upload.principal
    if principal.role == "aggregator" and upload.client is None:
        return
    if principal.role not in ("client", "aggregator"):
        raise Forbidden(f"{principal} may not upload", hint="allowed: clients with a grant, and the aggregator")
    if principal.client is None or principal.client != upload.client:
        raise Refused("identity_mismatch", f"{principal} may not upload as {upload.client}", status=403)


def _check_run(session: Session, uid: str) -> None:
    if session.scalar(select(Namespace.run).where(Namespace.uid == uid)) is None:
        raise NotFound(f"no run has the uid {uid!r} here", hint="its first grant makes it known")


def _schema(registry: Registry, grant: Grant, kind: str) -> dict[str, TensorSpec] | None:
    reference = grant.schemas.get(kind)  # type: ignore[call-overload]
    if reference is None:
        return None
    file = reference.files[ADAPTER_FILE[kind]]
    with registry.store.open(blob_key(file.digest)) as reader:
        return read_header(reader, file.size).specs()


def _admit(registry: Registry, upload: Upload, permit: Permit, staged: StagedFile) -> tuple[FileReceipt, bool]:
    """Checks 4 to 9, then the store, then the row: never a row before its bytes."""
    started = time.perf_counter()
    staged.finish()
    check_digest(staged.digest, upload.digest)
    length = _check_content(upload.kind, permit, staged)
    registry.metrics.admission_seconds.observe(time.perf_counter() - started)
    staged.sync()
    registry.store.put_file(blob_key(staged.digest), staged.path)
    known = _possess(registry, upload, staged.size, length)
    return FileReceipt(digest=staged.digest, size=staged.size), known


def _check_content(kind: str, permit: Permit, staged: StagedFile) -> float | None:
    """Checks 5 to 9; the norm of a file with tensors."""
    if kind == "update":
        check_json(staged.read_at(0, staged.size))
        return None
    header = read_header(staged, staged.size)
    check_schema(header, permit.schema)
    length = norm(float_chunks(staged, header.data_start, staged.size))
    if not math.isfinite(length):
        raise Refused("non_finite", "the file holds NaN or infinite values", hint="the training diverged")
    return length


def _possess(registry: Registry, upload: Upload, size: int, length: float | None) -> bool:
    principal = str(upload.principal)
    with registry.database.writing() as session:
        if session.get(Blob, upload.digest) is None:
            session.add(Blob(digest=upload.digest, size=size, norm=length))
        place = (principal, upload.uid, upload.round, upload.digest, upload.kind)
        if session.get(Possession, place) is not None:
            return True
        session.add(
            Possession(principal=principal, uid=upload.uid, number=upload.round, digest=upload.digest, kind=upload.kind)
        )
    return False


def _refuse(registry: Registry, upload: Upload, error: PilotError) -> None:
    registry.metrics.uploads.labels(upload.kind, "refused", error.code).inc()
    if isinstance(error, Refused) and upload.principal.client:
        # Under the sender's own name: nobody can spoil another client's round by failing in its place.
        record_rejection(registry, upload.uid, upload.round, upload.principal.client, error)
