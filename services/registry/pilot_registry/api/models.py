"""Listing what there is the way the Hugging Face Hub does. A repository that exists always has an answer here: a
client whose listing fails falls back, silently, on what it fetched before."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pilot_http.auth import Caller

from pilot_registry.context import InRegistry
from pilot_registry.hub import listing, tree
from pilot_registry.hub.documents import ModelInfo, TreeEntry

router = APIRouter(tags=["files"])

MODEL = "/api/models/{ns}/{repo}"
MODEL_REVISION = MODEL + "/revision/{rev:path}"
TREE = MODEL + "/tree/{rev}"
FOLDER = TREE + "/{path:path}"

MAX_ENTRIES = 1000

Entries = Annotated[int, Query(ge=1, le=MAX_ENTRIES)]
After = Annotated[str, Query(max_length=1000)]


@router.get(MODEL, response_model_exclude_none=True)
def get_model(ns: str, repo: str, caller: Caller, registry: InRegistry, blobs: bool = False) -> ModelInfo:
    """What `main` is, and which files it has; `blobs` adds their sizes and digests."""
    return listing.model_info(registry, caller, f"{ns}/{repo}", "main", with_files=blobs)


@router.get(MODEL_REVISION, response_model_exclude_none=True)
def get_model_revision(
    ns: str, repo: str, rev: str, caller: Caller, registry: InRegistry, blobs: bool = False
) -> ModelInfo:
    """The same of any revision: a commit, `main`, `round-N` or another alias."""
    return listing.model_info(registry, caller, f"{ns}/{repo}", rev, with_files=blobs)


@router.get(TREE, response_model_exclude_none=True)
def list_tree(
    ns: str,
    repo: str,
    rev: str,
    request: Request,
    response: Response,
    caller: Caller,
    registry: InRegistry,
    recursive: bool = False,
    expand: bool = False,
    limit: Entries = MAX_ENTRIES,
    cursor: After = "",
) -> list[TreeEntry]:
    """The files and folders of a revision; the `Link` header leads to the next page."""
    return _page(
        request,
        response,
        listing.folder(registry, caller, f"{ns}/{repo}", rev, "", recursive=recursive, expand=expand),
        limit,
        cursor,
    )


@router.get(FOLDER, response_model_exclude_none=True)
def list_folder(
    ns: str,
    repo: str,
    rev: str,
    path: str,
    request: Request,
    response: Response,
    caller: Caller,
    registry: InRegistry,
    recursive: bool = False,
    expand: bool = False,
    limit: Entries = MAX_ENTRIES,
    cursor: After = "",
) -> list[TreeEntry]:
    """The files and folders below a folder of a revision."""
    found = listing.folder(registry, caller, f"{ns}/{repo}", rev, path, recursive=recursive, expand=expand)
    return _page(request, response, found, limit, cursor)


def _page(request: Request, response: Response, found: list[TreeEntry], limit: int, cursor: str) -> list[TreeEntry]:
    shown, following = tree.page(found, cursor, limit)
    if following is not None:
        response.headers["Link"] = f'<{request.url.include_query_params(cursor=following)}>; rel="next"'
    return shown
