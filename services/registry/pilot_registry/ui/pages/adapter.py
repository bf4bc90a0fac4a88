"""One adapter: a version of it, a tab at a time."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pilot_http.auth import Caller, Principal
from pilot_http.problems import Forbidden, NotFound

from pilot_registry.context import InRegistry
from pilot_registry.paging import Cursor
from pilot_registry.ui.page import show
from pilot_registry.ui.pages import adapter_content, adapter_story
from pilot_registry.ui.pages.adapter_content import TENSORS
from pilot_registry.ui.pages.adapter_head import TABS, AdapterPage, Opened, opened
from pilot_registry.ui.service import FromAggregator
from pilot_registry.ui.upstream import Aggregator

router = APIRouter(include_in_schema=False)

DELETE = "delete"
"""A tab that is reached by a button."""


@router.get("/ui/adapters/{ns}/{repo}")
def show_adapter(
    ns: str,
    repo: str,
    request: Request,
    caller: Caller,
    registry: InRegistry,
    aggregator: FromAggregator,
    rev: Annotated[str, Query(max_length=100)] = "main",
    tab: Annotated[str, Query(max_length=20)] = "use",
    name: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = TENSORS,
    cursor: Cursor = None,
) -> Response:
    """A version, by commit or alias. `name`, `limit` and `cursor` are the tensors', as in the API."""
    _check_tab(tab, caller)
    found = opened(request, registry, caller, f"{ns}/{repo}", rev)
    page = _page(found, aggregator, tab, name, limit, cursor)
    return show(request, f"adapter_{tab}.html", page)


def _check_tab(tab: str, caller: Principal) -> None:
    known = {**{name: role for name, (_, role) in TABS.items()}, DELETE: "admin"}
    if tab not in known:
        raise NotFound(f"an adapter has no tab {tab!r}", hint=f"tabs: {', '.join(known)}")
    if not caller.at_least(known[tab]):
        raise Forbidden(f"{caller} may not see the tab {tab}", hint=f"allowed: {known[tab]}")


def _page(found: Opened, aggregator: Aggregator, tab: str, name: str, limit: int, cursor: str | None) -> AdapterPage:
    if tab == "tensors":
        return adapter_content.tensors(found, name, limit, cursor)
    if tab == "metrics":
        return adapter_story.metrics(found, aggregator)
    if tab == "history":
        return adapter_story.history(found, cursor)
    if tab == "audit":
        return adapter_story.audit(found, cursor)
    if tab == DELETE:
        return adapter_story.deleting(found, aggregator)
    plain = {
        "use": adapter_content.use,
        "lineage": adapter_story.story_of_family,
        "files": adapter_content.files,
        "card": adapter_content.card,
    }
    return plain[tab](found)
