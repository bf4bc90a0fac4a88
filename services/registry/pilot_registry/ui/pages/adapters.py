"""All adapters, newest first, and what somebody looks for among them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pilot_http.auth import Caller
from pilot_http.problems import Invalid
from pilot_proto.registry import FileKind, VersionPage

from pilot_registry import catalog, query
from pilot_registry.context import InRegistry
from pilot_registry.paging import Cursor
from pilot_registry.query import Search, State
from pilot_registry.ui.page import Notice, Page, show
from pilot_registry.ui.pages.blank import Blank
from pilot_registry.ui.views.adapter_lines import AdapterLine, adapter_line

router = APIRouter(include_in_schema=False)

LIMIT = 25

Filter = Annotated[str | None, Query(max_length=100), Blank]


class AdaptersPage(Page):
    title: str = "Adapters"
    cli: str = "pilot get adapters"
    run: str = ""
    kind: str = ""
    client: str = ""
    task: str = ""
    round: int | None = None
    state: str = ""
    q: str = ""
    """The words that are no filters."""
    items: tuple[AdapterLine, ...] = ()
    next: str | None = None


@router.get("/ui/adapters")
def adapters(
    request: Request,
    caller: Caller,
    registry: InRegistry,
    run: Filter = None,
    kind: Annotated[FileKind | None, Blank] = None,
    client: Filter = None,
    task: Filter = None,
    round_: Annotated[int | None, Query(alias="round", ge=0, le=query.LAST_ROUND), Blank] = None,
    state: Annotated[State | None, Blank] = None,
    q: Annotated[str | None, Query(max_length=300), Blank] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = LIMIT,
    cursor: Cursor = None,
) -> Response:
    """As the API lists them; a search that cannot be meant is told on the page that can put it right."""
    filters = Search(run, kind, client, task, round_, state)
    try:
        wanted = query.read(q, filters)
    except Invalid as error:
        text = f"{error.detail}; {error.hint}."
        page = _page(filters, q or "", VersionPage(items=()), (Notice(tone="bad", text=text),))
        return show(request, "adapters.html", page, error.status)
    found = catalog.search(registry, caller, wanted, limit, cursor)
    return show(request, "adapters.html", _page(wanted, wanted.text, found, ()))


def _page(wanted: Search, q: str, found: VersionPage, notices: tuple[Notice, ...]) -> AdaptersPage:
    return AdaptersPage(
        cli=f"pilot get adapters {wanted.run}" if wanted.run else "pilot get adapters",
        run=wanted.run or "",
        kind=wanted.kind or "",
        client=wanted.client or "",
        task=wanted.task or "",
        round=wanted.round,
        state=wanted.state or "",
        q=q,
        items=tuple(adapter_line(view) for view in found.items),
        next=found.next,
        notices=notices,
    )
