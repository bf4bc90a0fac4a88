"""A file that comes in parts: begun, gone on with as often as it takes, and admitted like any other at the end."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool
from pilot_http.auth import Principal
from pilot_http.problems import Conflict, NotFound, PilotError, coded
from pilot_proto.registry import FileReceipt, UploadView

from pilot_registry.admission import upload as whole
from pilot_registry.admission.sessions import Session, UploadRecord
from pilot_registry.admission.upload import Upload
from pilot_registry.context import Registry
from pilot_registry.errors import Refused, RoundClosed
from pilot_registry.store.port import blob_key


@dataclass(frozen=True)
class Resumed:
    """A session, and what its sender had said in the beginning."""

    session: Session
    upload: Upload


def begin(registry: Registry, upload: Upload) -> tuple[UploadView, bool]:
    """Begin to send a file, or learn how much of it is here; and whether it was begun only now.

    Raises:
        Refused: it is too large, or nobody asks for it; recorded.
    """
    try:
        whole.permitted(registry, upload)
    except PilotError as error:
        whole.refuse(registry, upload, error)
        raise
    record = _record(upload)
    if _is_here(registry, upload):
        return UploadView(id=record.id, offset=record.size, size=record.size, admitted=True), False
    session, new = registry.sessions.begin(record)
    return UploadView(id=record.id, offset=session.hand_over(), size=record.size), new


async def append(
    registry: Registry, principal: Principal, id: str, offset: int, body: AsyncIterator[bytes]
) -> UploadView:
    """Take in what comes, from `offset`; of a part that breaks off, what came of it counts.

    Raises:
        Conflict: `wrong_offset`; or `taken_over`, another connection went on.
        RoundClosed: nobody waits for it any more; the session is gone.
        IdleBody: the sender fell silent.
    """
    resumed = await run_in_threadpool(_resume, registry, principal, id)
    session = resumed.session
    writer = session.take(offset)
    try:
        await whole.pour(body, lambda data: session.write(writer, data), registry.settings.upload_idle_s)
    except Refused as error:
        await run_in_threadpool(_give_up, registry, resumed, error)
        raise
    except BaseException:
        await run_in_threadpool(session.leave, writer)
        raise
    return UploadView(id=id, offset=await run_in_threadpool(session.leave, writer), size=session.size)


async def complete(registry: Registry, principal: Principal, id: str) -> tuple[FileReceipt, bool]:
    """Admit a file of which everything is here; see `upload.receive`."""
    first = await run_in_threadpool(registry.sessions.find, id, str(principal))
    async with first.admission:
        # Another request may have completed it while this one stood in line: then it is unknown now.
        return await _complete(registry, await run_in_threadpool(_resume, registry, principal, id))


async def _complete(registry: Registry, resumed: Resumed) -> tuple[FileReceipt, bool]:
    session, upload = resumed.session, resumed.upload
    if (received := session.received) < session.size:
        error = coded(Conflict, "incomplete", f"{received} of {session.size} bytes are here", hint="send the rest")
        error.headers["Upload-Offset"] = str(received)
        raise error
    try:
        permit = await run_in_threadpool(whole.permitted, registry, upload)
        receipt, known = await whole.admit(registry, upload, permit, session, session.put)
    except (Refused, RoundClosed) as error:
        await run_in_threadpool(_give_up, registry, resumed, error)
        raise
    except BaseException:
        # The store may have taken the file before the row failed.
        await run_in_threadpool(registry.sessions.let_go, session)
        raise
    await run_in_threadpool(registry.sessions.drop, session)
    return receipt, known


def _resume(registry: Registry, principal: Principal, id: str) -> Resumed:
    session = registry.sessions.find(id, str(principal))
    record = session.record
    if principal.run is not None and principal.run.uid != record.uid:
        raise coded(
            NotFound, "upload_unknown", f"the upload {id} is of another run than this pod", hint="begin it again"
        )
    upload = Upload(
        principal, record.digest, record.uid, record.round, record.kind, record.client, declared_size=record.size
    )
    resumed = Resumed(session, upload)
    try:
        whole.check_open(registry, upload)
    except PilotError as error:
        _give_up(registry, resumed, error)
        raise
    return resumed


def _give_up(registry: Registry, resumed: Resumed, error: PilotError) -> None:
    registry.sessions.drop(resumed.session)
    whole.refuse(registry, resumed.upload, error)


def _record(upload: Upload) -> UploadRecord:
    return UploadRecord(
        principal=str(upload.principal),
        uid=upload.uid,
        round=upload.round,
        kind=upload.kind,
        client=upload.client,
        digest=upload.digest,
        size=upload.declared_size or 0,
    )


def _is_here(registry: Registry, upload: Upload) -> bool:
    """The answer to an earlier `complete` may have been lost: this sender has proved that it has the bytes."""
    with registry.database.reading() as session:
        known = whole.possesses(session, upload)
    return known and registry.store.exists(blob_key(upload.digest))
