"""Reading a file the way the Hugging Face Hub is read."""

from typing import Any

from fastapi import APIRouter, Request, Response, status
from fastapi.responses import StreamingResponse
from pilot_http.auth import Caller

from pilot_registry import download
from pilot_registry.context import InRegistry

router = APIRouter(tags=["files"])

RESOLVE = "/{ns}/{repo}/resolve/{rev}/{path:path}"

MEDIA_TYPES = {"json": "application/json", "md": "text/markdown; charset=utf-8"}

BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: BYTES,
    206: {**BYTES, "description": "The range that was asked for"},
    304: {"description": "The caller has it"},
}


@router.head(RESOLVE, operation_id="head_file", response_class=Response)
@router.get(RESOLVE, operation_id="get_file", response_class=Response, responses=ANSWERS)
def resolve(
    ns: str, repo: str, rev: str, path: str, request: Request, caller: Caller, registry: InRegistry
) -> Response:
    """A file of a version; `rev` is a commit, `main`, `round-N` or another alias."""
    found = download.locate(registry, caller, f"{ns}/{repo}", rev, path)
    headers = {
        "ETag": f'"{found.digest.removeprefix("sha256:")}"',
        "X-Repo-Commit": found.commit,
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",
    }
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    wanted = download.byte_range(request.headers.get("range"), found.size)
    begin, end = wanted or (0, found.size)
    headers["Content-Length"] = str(end - begin)
    code = status.HTTP_200_OK
    if wanted:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{found.size}"
        code = status.HTTP_206_PARTIAL_CONTENT
    media_type = MEDIA_TYPES.get(path.rpartition(".")[2], "application/octet-stream")
    if request.method == "HEAD":
        return Response(status_code=code, headers=headers, media_type=media_type)
    return StreamingResponse(download.stream(registry, found, begin, end), code, headers, media_type=media_type)
