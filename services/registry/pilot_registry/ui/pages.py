"""The pages: runs, a run's adapters, one adapter."""

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse
from pilot_http.auth import Caller
from pilot_http.problems import NotFound

from pilot_registry import aliases, catalog
from pilot_registry.context import InRegistry
from pilot_registry.paging import DEFAULT_LIMIT, Cursor

if TYPE_CHECKING:
    from jinja2 import Environment

router = APIRouter(include_in_schema=False)

SECURITY = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
ASSETS = {"style.css": "text/css"}


@router.get("/ui", response_class=HTMLResponse)
def runs(caller: Caller, registry: InRegistry) -> Response:
    """All runs of which the caller may see something."""
    return _page("runs.html", runs=catalog.runs(registry, caller))


@router.get("/ui/runs/{run}", response_class=HTMLResponse)
def run(
    run: str,
    caller: Caller,
    registry: InRegistry,
    q: Annotated[str | None, Query(max_length=100)] = None,
    cursor: Cursor = None,
) -> Response:
    """A run's adapters, newest first."""
    page = catalog.search(registry, caller, catalog.Search(run=run, q=q or None), DEFAULT_LIMIT, cursor)
    if not page.items and q is None and cursor is None:
        raise NotFound(f"no run {run!r} is here", hint="/ui lists the runs")
    return _page("run.html", run=run, page=page, q=q or "")


@router.get("/ui/adapters/{ns}/{repo}", response_class=HTMLResponse)
def adapter(
    ns: str,
    repo: str,
    caller: Caller,
    registry: InRegistry,
    rev: Annotated[str, Query(max_length=100)] = "main",
) -> Response:
    """One version: its files, digests, parents, aliases."""
    name = f"{ns}/{repo}"
    version = catalog.get(registry, caller, name, rev)
    history = catalog.search(registry, caller, catalog.Search(repo=name), DEFAULT_LIMIT, None)
    names = aliases.listing(registry, caller, name)
    return _page("adapter.html", version=version, history=history.items, aliases=names.items)


@router.get("/ui/static/{name}")
def asset(name: str) -> Response:
    """A file of the wheel."""
    media_type = ASSETS.get(name)
    if media_type is None:
        raise NotFound(f"no such file {name!r}")
    body = resources.files("pilot_registry.ui").joinpath("static", name).read_bytes()
    return Response(body, media_type=media_type, headers=SECURITY)


def _page(template: str, **values: object) -> Response:
    return HTMLResponse(_environment().get_template(template).render(**values), headers=SECURITY)


@cache
def _environment() -> "Environment":
    # Loaded with the first page: most restarts of a registry never show one.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(loader=PackageLoader("pilot_registry.ui"), autoescape=True, undefined=StrictUndefined)
