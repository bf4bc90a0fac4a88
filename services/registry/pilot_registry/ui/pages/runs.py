"""All runs, newest first."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pilot_http.auth import Caller
from pilot_http.problems import Unavailable
from pilot_proto.run import Phase, RunPage

from pilot_registry import catalog
from pilot_registry.context import InRegistry
from pilot_registry.paging import Cursor
from pilot_registry.ui.page import Notice, Page, show
from pilot_registry.ui.pages.blank import Blank
from pilot_registry.ui.pages.home import stale_notice
from pilot_registry.ui.service import FromAggregator
from pilot_registry.ui.views.run_lines import RunLine, run_line

router = APIRouter(include_in_schema=False)

LIMIT = 25


class RunsPage(Page):
    title: str = "Runs"
    cli: str = "pilot get runs"
    phase: str = ""
    items: tuple[RunLine, ...] = ()
    next: str | None = None


@router.get("/ui/runs")
def runs(
    request: Request,
    caller: Caller,
    registry: InRegistry,
    aggregator: FromAggregator,
    phase: Annotated[Phase | None, Blank] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = LIMIT,
    cursor: Cursor = None,
) -> Response:
    """As the aggregator knows them; without it, as far as their adapters tell."""
    try:
        answer = aggregator.read(request, RunPage, "runs", phase=phase, limit=limit, cursor=cursor)
    except Unavailable as error:
        text = f"{error.detail.capitalize()}. These are the runs whose adapters are here."
        known = catalog.runs(registry, caller, limit)
        lines = tuple(RunLine(name=r.name, phase="unknown", tone="", round=r.last_round) for r in known)
        return show(request, "runs.html", RunsPage(items=lines, notices=(Notice(tone="warning", text=text),)))
    page = RunsPage(
        phase=phase or "",
        items=tuple(run_line(view) for view in answer.document.items),
        next=answer.document.next,
        notices=stale_notice(answer.stale, answer.as_of),
    )
    return show(request, "runs.html", page)
