"""The lineage of a run: drawn, or as a table."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pilot_http import cursors
from pilot_http.auth import Caller
from pilot_http.problems import NotFound
from pilot_proto.base import Stored
from pilot_proto.names import Kind

from pilot_registry import lineage, query
from pilot_registry.context import InRegistry, Registry
from pilot_registry.lineage import Graph, Link, Part
from pilot_registry.paging import Cursor
from pilot_registry.tables import Namespace
from pilot_registry.tensor_pages import begin_of
from pilot_registry.ui.page import Page, show
from pilot_registry.ui.pages.blank import Blank
from pilot_registry.ui.pages.run import to_run
from pilot_registry.ui.views.run_graph import Sheet, sheet

router = APIRouter(include_in_schema=False)

LINES = 100


class LinkLine(Stored):
    """A version, one of its parents, and what lies between."""

    child: str
    child_commit: str
    round: int | None
    parent: str
    parent_commit: str
    visible: bool
    """Whether the parent may be opened."""
    coefficient: float | None
    distance: float | None


class LineagePage(Page):
    run: str
    kind: str
    client: str
    round: int | None
    view: str
    nodes: int
    links: int
    sheet: Sheet | None
    """None where the table is shown."""
    lines: tuple[LinkLine, ...] = ()
    """Of the table, newest round first."""
    next: str | None = None


@router.get("/ui/runs/{run}/lineage")
def show_lineage(
    run: str,
    request: Request,
    caller: Caller,
    registry: InRegistry,
    kind: Annotated[Kind | None, Blank] = None,
    client: Annotated[str | None, Query(max_length=100), Blank] = None,
    round_: Annotated[int | None, Query(alias="round", ge=0, le=query.LAST_ROUND), Blank] = None,
    view: Literal["drawing", "table"] = "drawing",
    cursor: Cursor = None,
) -> Response:
    """What was made of what; `kind`, `client` and `round` are those of the API."""
    graph = lineage.graph(registry, caller, run, Part(kind, client, round_))
    if not graph.nodes:
        _check_run(registry, run)
    begin = begin_of(cursor)
    lines = _newest_first(graph) if view == "table" else []
    end = begin + LINES
    page = LineagePage(
        title=f"Lineage of {run}",
        crumbs=to_run(run),
        run=run,
        kind=kind or "",
        client=client or "",
        round=round_,
        view=view,
        nodes=len(graph.nodes),
        links=len(graph.links),
        sheet=sheet(graph, run) if view == "drawing" and graph.nodes else None,
        lines=tuple(map(_line, lines[begin:end])),
        next=cursors.encode([end]) if end < len(lines) else None,
    )
    return show(request, "lineage.html", page)


def _check_run(registry: Registry, run: str) -> None:
    with registry.database.reading() as session:
        if session.get(Namespace, run) is None:
            raise NotFound(f"no run is called {run!r} here", hint="'pilot get runs' lists them")


def _newest_first(graph: Graph) -> list[Link]:
    return sorted(
        graph.links, key=lambda link: (-(link.child.round or 0), link.child.repo, -abs(link.coefficient or 0))
    )


def _line(link: Link) -> LinkLine:
    return LinkLine(
        child=link.child.repo,
        child_commit=link.child.commit,
        round=link.child.round,
        parent=link.parent.repo,
        parent_commit=link.parent.commit,
        visible=link.parent.visible,
        coefficient=link.coefficient,
        distance=link.distance,
    )
