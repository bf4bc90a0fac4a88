"""One uploaded file, from its first byte to its place in the store: the checks in their order."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread
from fastapi.concurrency import run_in_threadpool
from pilot_http.auth import Principal
from pilot_http.problems import Forbidden, NotFound, PilotError
from pilot_proto.grant import Grant
from pilot_proto.names import ADAPTER_FILE
from pilot_proto.registry import FileReceipt
from pilot_proto.tensors import TensorSpec
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect

from pilot_registry import grants
from pilot_registry.admission.checks import check_digest, check_json, check_kind, check_schema, check_size, limit_of
from pilot_registry.admission.content import norm
from pilot_registry.admission.staging import Arrived, StagedFile
from pilot_registry.admission.tensors import float_chunks, read_header
from pilot_registry.context import Registry
from pilot_registry.errors import IdleBody, Refused
from pilot_registry.rejections import record_rejection
from pilot_registry.store.port import Put, blob_key
from pilot_registry.tables import Blob, Namespace, Possession

BATCH_BYTES = 1 << 18
"""Received bytes are hashed and written in a thread, this many at a time."""

ADMISSIONS = CapacityLimiter(4)
"""Whole files are read and put by so many threads, so that a crowd of them leaves threads for everybody else."""


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
        IdleBody: the sender fell silent.
    """
    try:
        permit = await run_in_threadpool(permitted, registry, upload)
        with registry.staging.begin(permit.limit) as staged:
            put = await _stage(registry, upload, body, staged)
            return await admit(registry, upload, permit, staged, put)
    except PilotError as error:
        await run_in_threadpool(refuse, registry, upload, error)
        raise


async def _stage(registry: Registry, upload: Upload, body: AsyncIterator[bytes], staged: StagedFile) -> Put:
    """Take the body in, and begin to put it while it comes if its size is known."""
    size, key = upload.declared_size, blob_key(upload.digest)
    put = registry.store.begin(key, staged.path, size) if size else None

    def write(data: bytes) -> None:
        staged.write(data)
        if put is not None:
            put.advance(staged.size)

    try:
        await pour(body, write, registry.settings.upload_idle_s)
    except BaseException:
        if put is not None:
            await run_in_threadpool(put.abandon)
        raise
    return put or registry.store.begin(key, staged.path, staged.size)


async def pour(body: AsyncIterator[bytes], write: Callable[[bytes], None], idle_s: float) -> None:
    """Hand a body on in batches; what came before it broke off is handed on too.

    Raises:
        IdleBody: nothing came for `idle_s` seconds. There is no limit for the whole.
        ClientDisconnect: the sender hung up.
    """
    waiting: list[bytes] = []
    size = 0
    try:
        while True:
            async with asyncio.timeout(idle_s):
                piece = await anext(body, None)
            if piece is None:
                break
            waiting.append(piece)
            size += len(piece)
            if size >= BATCH_BYTES:
                data, waiting, size = b"".join(waiting), [], 0
                await run_in_threadpool(write, data)
    except TimeoutError as error:
        raise IdleBody(f"no byte came for {idle_s:g} s", hint="send it again; a slow line is no trouble") from error
    except ClientDisconnect:
        await run_in_threadpool(write, b"".join(waiting))
        raise
    await run_in_threadpool(write, b"".join(waiting))


async def admit(
    registry: Registry, upload: Upload, permit: Permit, file: Arrived, put: Put
) -> tuple[FileReceipt, bool]:
    """Checks 4 to 9 and what follows, for a file that is here; one that is refused leaves nothing in the store.

    Raises:
        Refused: a check failed.
    """
    try:
        receipt, known = await to_thread.run_sync(_admit, registry, upload, permit, file, put, limiter=ADMISSIONS)
    except BaseException:
        await run_in_threadpool(put.abandon)
        raise
    registry.metrics.uploads.labels(upload.kind, "admitted", "").inc()
    registry.metrics.upload_bytes.inc(receipt.size)
    return receipt, known


def permitted(registry: Registry, upload: Upload) -> Permit:
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


def check_open(registry: Registry, upload: Upload) -> None:
    """Checks 1 and 2 again, for one part of a file whose size was permitted before."""
    _check_identity(upload)
    if upload.client is not None:
        with registry.database.reading() as session:
            grants.open_grant(session, upload.uid, upload.round, upload.client)


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


def _admit(registry: Registry, upload: Upload, permit: Permit, file: Arrived, put: Put) -> tuple[FileReceipt, bool]:
    """Checks 4 to 9, then the store, then the row: never a row before its bytes."""
    started = time.perf_counter()
    check_digest(file.digest, upload.digest)
    length = _check_content(upload.kind, permit, file)
    registry.metrics.admission_seconds.observe(time.perf_counter() - started)
    put.finish()
    known = _possess(registry, upload, file.size, length)
    return FileReceipt(digest=upload.digest, size=file.size), known


def _check_content(kind: str, permit: Permit, file: Arrived) -> float | None:
    """Checks 5 to 9; the norm of a file with tensors."""
    if kind == "update":
        check_json(file.read_at(0, file.size))
        return None
    header = read_header(file, file.size)
    check_schema(header, permit.schema)
    length = norm(float_chunks(file, header.data_start, file.size))
    if not math.isfinite(length):
        raise Refused("non_finite", "the file holds NaN or infinite values", hint="the training diverged")
    return length


def possesses(session: Session, upload: Upload) -> bool:
    """Whether this principal has sent these bytes in this round."""
    place = (str(upload.principal), upload.uid, upload.round, upload.digest, upload.kind)
    return session.get(Possession, place) is not None


def _possess(registry: Registry, upload: Upload, size: int, length: float | None) -> bool:
    principal = str(upload.principal)
    with registry.database.writing() as session:
        if session.get(Blob, upload.digest) is None:
            session.add(Blob(digest=upload.digest, size=size, norm=length))
        if possesses(session, upload):
            return True
        session.add(
            Possession(principal=principal, uid=upload.uid, number=upload.round, digest=upload.digest, kind=upload.kind)
        )
    return False


def refuse(registry: Registry, upload: Upload, error: PilotError) -> None:
    """Count a refusal, and record it under the sender's name if it is the sender's fault."""
    registry.metrics.uploads.labels(upload.kind, "refused", error.code).inc()
    if isinstance(error, Refused) and upload.principal.client:
        # Under the sender's own name: nobody can spoil another client's round by failing in its place.
        record_rejection(registry, upload.uid, upload.round, upload.principal.client, error)
