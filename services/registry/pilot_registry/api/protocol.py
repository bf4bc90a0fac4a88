"""The routes of the round's protocol: grants, files, commits, seal, publish, retire."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response, status
from pilot_http.app import PREFIX
from pilot_http.auth import Caller
from pilot_http.problems import Invalid
from pilot_proto.canonical import Digest
from pilot_proto.grant import Grant, Publication, RoundView, SealedRound
from pilot_proto.manifest import Committed
from pilot_proto.registry import FileKind, FileReceipt, RetireReport
from starlette.requests import ClientDisconnect

from pilot_registry import grants, rounds, updates
from pilot_registry.admission import upload
from pilot_registry.context import InRegistry
from pilot_registry.strictly import MAX_BODY_BYTES, GrantBody, HandedBody, ManifestBody, PublishBody, RoundGrantsBody

router = APIRouter(prefix=PREFIX, max_body_size=MAX_BODY_BYTES, tags=["protocol"])
files = APIRouter(prefix=PREFIX, tags=["protocol"])

Uid = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,64}$")]
UidQuery = Annotated[str, Query(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Round = Annotated[int, Path(ge=0, le=1_000_000)]
RoundQuery = Annotated[int, Query(alias="round", ge=0, le=1_000_000)]


@router.put("/grants/{uid}/{n}", status_code=status.HTTP_204_NO_CONTENT)
def put_grants(uid: Uid, n: Round, body: RoundGrantsBody, caller: Caller, registry: InRegistry) -> None:
    """Permit all clients of a round to answer, or none. The same again changes nothing, another one is 409."""
    grants.put_grants(registry, uid, n, body.grants, str(caller))


@router.put("/grants/{uid}/{n}/{client}", status_code=status.HTTP_201_CREATED)
def put_grant(
    uid: Uid, n: Round, client: str, body: GrantBody, response: Response, caller: Caller, registry: InRegistry
) -> Grant:
    """Permit a client to answer in a round. The same again is 200, another one 409."""
    if (body.uid, body.round, body.client) != (uid, n, client):
        raise Invalid("the grant names another run, round or client than its path")
    if not grants.put_grant(registry, body, str(caller)):
        response.status_code = status.HTTP_200_OK
    return body


@router.put("/grants/{uid}/{n}/{client}/handed", status_code=status.HTTP_204_NO_CONTENT)
def put_handed(uid: Uid, n: Round, client: str, body: HandedBody, caller: Caller, registry: InRegistry) -> None:
    """Let a client read what its round published for it, before or without a next round: for an export."""
    grants.hand_out(registry, uid, n, client, body.commits, str(caller))


@router.delete("/grants/{uid}", status_code=status.HTTP_204_NO_CONTENT)
def revoke_grants(uid: Uid, caller: Caller, registry: InRegistry) -> None:
    """End every open grant of a run."""
    grants.revoke(registry, uid, str(caller))


FILE_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@files.put("/files", status_code=status.HTTP_201_CREATED, openapi_extra=FILE_BODY)
async def put_file(
    request: Request,
    response: Response,
    caller: Caller,
    registry: InRegistry,
    digest: Annotated[Digest, Query()],
    uid: UidQuery,
    round_: RoundQuery,
    kind: FileKind,
    client: str | None = None,
) -> FileReceipt:
    """Send a file's bytes: always read whole and checked, which proves that the sender has them."""
    declared = request.headers.get("content-length", "")
    intent = upload.Upload(caller, digest, uid, round_, kind, client, int(declared) if declared.isdigit() else None)
    try:
        receipt, known = await upload.receive(registry, intent, request.stream())
    except ClientDisconnect as error:
        raise Invalid("the connection ended before the body") from error
    if known:
        response.status_code = status.HTTP_200_OK
    return receipt


@router.post("/adapters/{ns}/{repo}/versions", status_code=status.HTTP_201_CREATED)
def commit(
    ns: str,
    repo: str,
    uid: UidQuery,
    round_: RoundQuery,
    body: ManifestBody,
    response: Response,
    caller: Caller,
    registry: InRegistry,
) -> Committed:
    """Commit an update of files that were sent before. The first admitted one before the seal wins."""
    answer, new = updates.commit(registry, caller, uid, round_, f"{ns}/{repo}", body)
    if not new:
        response.status_code = status.HTTP_200_OK
    return answer


@router.get("/rounds/{uid}/{n}")
def get_round(
    uid: Uid, n: Round, registry: InRegistry, known: Annotated[int, Query(ge=0, le=1_000_000)] = 0
) -> RoundView:
    """What the registry knows of a round. `known` updates, those that were admitted first, are left out."""
    return rounds.view(registry, uid, n, known)


@router.post("/rounds/{uid}/{n}/seal", response_model=SealedRound)
def seal(uid: Uid, n: Round, caller: Caller, registry: InRegistry) -> Response:
    """Freeze a round's inputs; the same bytes for ever."""
    return Response(rounds.seal(registry, uid, n, str(caller)), media_type="application/json")


@router.post("/rounds/{uid}/{n}/publish", response_model=Publication, status_code=status.HTTP_201_CREATED)
def publish(uid: Uid, n: Round, body: PublishBody, caller: Caller, registry: InRegistry) -> Response:
    """Commit a round's outputs: versions, lineage, `main`, `round-n`, plan and ledger, in one transaction."""
    raw, new = rounds.publish(registry, uid, n, body, str(caller))
    return Response(raw, status.HTTP_201_CREATED if new else status.HTTP_200_OK, media_type="application/json")


@router.post("/rounds/{uid}/{n}/retire")
def retire(uid: Uid, n: Round, caller: Caller, registry: InRegistry) -> RetireReport:
    """Retention: turn a round's raw updates into tombstones."""
    return rounds.retire(registry, uid, n, str(caller))
