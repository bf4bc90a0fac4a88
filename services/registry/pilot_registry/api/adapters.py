"""The routes that read and name versions."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response, status
from pilot_http.app import PREFIX
from pilot_http.auth import Caller
from pilot_proto.names import Kind
from pilot_proto.registry import (
    AliasMove,
    AliasPage,
    AliasView,
    CompareReport,
    Dependants,
    FileKind,
    LineageView,
    Release,
    TensorPage,
    VersionPage,
    VersionView,
)

from pilot_registry import aliases, catalog, compare, deletion, lineage, query, tensor_pages
from pilot_registry.context import InRegistry
from pilot_registry.lineage import Part
from pilot_registry.paging import DEFAULT_LIMIT, Cursor, Limit
from pilot_registry.query import Search, State
from pilot_registry.strictly import MAX_BODY_BYTES
from pilot_registry.ui.service import FromAggregator
from pilot_registry.unended import unended_runs

router = APIRouter(prefix=PREFIX, max_body_size=MAX_BODY_BYTES, tags=["adapters"])

Filter = Annotated[str | None, Query(max_length=100)]
Round = Annotated[int | None, Query(alias="round", ge=0, le=query.LAST_ROUND)]
Words = Annotated[str | None, Query(max_length=300)]


@router.get("/adapters")
def list_versions(
    caller: Caller,
    registry: InRegistry,
    run: Filter = None,
    kind: FileKind | None = None,
    client: Filter = None,
    task: Filter = None,
    round_: Round = None,
    state: State | None = None,
    q: Words = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> VersionPage:
    """Versions that the caller may see, newest first. `q` has words: parts of the repository's name, the beginning of
    a commit or of a file's digest, and filters as `run:digits`, which hold before the parameters of their names."""
    wanted = query.read(q, Search(run, kind, client, task, round_, state))
    return catalog.search(registry, caller, wanted, limit, cursor)


@router.get("/adapters/{ns}/{repo}/versions/{rev}")
def get_version(ns: str, repo: str, rev: str, response: Response, caller: Caller, registry: InRegistry) -> VersionView:
    """One version, by commit or alias; its ETag is the commit."""
    view = catalog.get(registry, caller, f"{ns}/{repo}", rev)
    response.headers["ETag"] = f'"{view.commit}"'
    return view


@router.delete("/adapters/{ns}/{repo}/versions/{rev}")
def delete_version(
    ns: str, repo: str, rev: str, request: Request, caller: Caller, registry: InRegistry, aggregator: FromAggregator
) -> VersionView:
    """Make a version, named by its commit, a tombstone, unless something stands on it; the garbage collection takes
    the bytes. The aggregator is asked which runs have not ended."""
    return deletion.delete(registry, caller, f"{ns}/{repo}", rev, unended_runs(aggregator, request))


@router.get("/adapters/{ns}/{repo}/versions/{rev}/dependants")
def get_dependants(
    ns: str, repo: str, rev: str, request: Request, caller: Caller, registry: InRegistry, aggregator: FromAggregator
) -> Dependants:
    """What stands on a version, and what keeps it from being deleted now."""
    return deletion.dependants(registry, caller, f"{ns}/{repo}", rev, unended_runs(aggregator, request))


@router.get("/adapters/{ns}/{repo}/versions/{rev}/tensors")
def list_tensors(
    ns: str,
    repo: str,
    rev: str,
    caller: Caller,
    registry: InRegistry,
    name: Annotated[str, Query(max_length=200)] = "",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> TensorPage:
    """The tensors of a version with their figures; `name` is a part of theirs. A page of large ones is shorter."""
    return tensor_pages.page(registry, caller, f"{ns}/{repo}", rev, name, limit, cursor)


@router.post("/adapters/{ns}/{repo}/versions/{rev}/release", status_code=status.HTTP_201_CREATED)
def release(
    ns: str, repo: str, rev: str, body: Release, response: Response, caller: Caller, registry: InRegistry
) -> VersionView:
    """Keep a version as `released/{name}`, beyond its run."""
    view, new = aliases.release(registry, caller, f"{ns}/{repo}", rev, body.name)
    if not new:
        response.status_code = status.HTTP_200_OK
    return view


@router.get("/adapters/{ns}/{repo}/aliases")
def list_aliases(ns: str, repo: str, caller: Caller, registry: InRegistry) -> AliasPage:
    """The aliases of a repository."""
    return aliases.listing(registry, caller, f"{ns}/{repo}")


@router.put("/adapters/{ns}/{repo}/aliases/{alias}")
def move_alias(
    ns: str,
    repo: str,
    alias: str,
    body: AliasMove,
    response: Response,
    caller: Caller,
    registry: InRegistry,
    if_match: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> AliasView:
    """Point an alias to a version. `If-Match` says where it stands now, `If-None-Match: *` that it is new."""
    view = aliases.move(registry, caller, f"{ns}/{repo}", alias, body.commit, if_match, if_none_match)
    response.headers["ETag"] = f'"{view.commit}"'
    return view


@router.get("/compare")
def get_comparison(
    caller: Caller,
    registry: InRegistry,
    a: Annotated[str, Query(max_length=300)],
    b: Annotated[str, Query(max_length=300)],
) -> CompareReport:
    """Distances between two versions, each written `namespace/repo@revision`."""
    return compare.compare(registry, caller, a, b)


@router.get("/lineage")
def get_lineage(
    caller: Caller,
    registry: InRegistry,
    run: Annotated[str, Query(max_length=100)],
    kind: Kind | None = None,
    client: Filter = None,
    round_: Round = None,
) -> LineageView:
    """What was made of what in a run, or in the part of it that one kind, client or round is."""
    return lineage.lineage(registry, caller, run, Part(kind, client, round_))
