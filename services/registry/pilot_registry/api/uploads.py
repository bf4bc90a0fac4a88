"""The routes of uploads in parts: for files that are too large to be sent twice over a line that breaks."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response, status
from pilot_http.app import PREFIX
from pilot_http.auth import Caller
from pilot_http.problems import Invalid
from pilot_proto.canonical import Digest
from pilot_proto.registry import FileKind, FileReceipt, UploadView
from starlette.requests import ClientDisconnect

from pilot_registry.admission import resumable
from pilot_registry.admission.upload import Upload
from pilot_registry.api.protocol import FILE_BODY, RoundQuery, UidQuery
from pilot_registry.context import InRegistry

router = APIRouter(prefix=PREFIX, tags=["protocol"])

UploadId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
MAX_BYTES = 1 << 40


@router.post("/uploads", status_code=status.HTTP_201_CREATED)
def begin_upload(
    response: Response,
    caller: Caller,
    registry: InRegistry,
    digest: Annotated[Digest, Query()],
    size: Annotated[int, Query(ge=1, le=MAX_BYTES)],
    uid: UidQuery,
    round_: RoundQuery,
    kind: FileKind,
    client: str | None = None,
) -> UploadView:
    """Begin to send a file in parts, or learn how far it came: the same question finds the same upload."""
    view, new = resumable.begin(registry, Upload(caller, digest, uid, round_, kind, client, size))
    if not new:
        response.status_code = status.HTTP_200_OK
    return view


@router.patch("/uploads/{id}", openapi_extra=FILE_BODY)
async def append_part(
    id: UploadId,
    request: Request,
    caller: Caller,
    registry: InRegistry,
    offset: Annotated[int, Query(ge=0, le=MAX_BYTES)],
) -> UploadView:
    """Send the bytes from `offset` on, as many as the sender likes. What came before a break is not lost."""
    try:
        return await resumable.append(registry, caller, id, offset, request.stream())
    except ClientDisconnect as error:
        raise Invalid("the connection ended before the part") from error


@router.post("/uploads/{id}/complete", status_code=status.HTTP_201_CREATED)
async def complete_upload(id: UploadId, response: Response, caller: Caller, registry: InRegistry) -> FileReceipt:
    """Everything was sent: check it like a file that came at once, and put it into the store."""
    receipt, known = await resumable.complete(registry, caller, id)
    if known:
        response.status_code = status.HTTP_200_OK
    return receipt
