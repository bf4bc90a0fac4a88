"""Home: what runs, what was merged and refused lately, how everything is."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pilot_http.problems import Unavailable
from pilot_proto.registry import RejectionView
from pilot_proto.run import RunPage

from pilot_registry import overview
from pilot_registry.context import InRegistry
from pilot_registry.overview import Merged, Storage
from pilot_registry.ui.health import Part
from pilot_registry.ui.page import Notice, Page, caller_may, show
from pilot_registry.ui.service import FromAggregator, InHealth
from pilot_registry.ui.upstream import Aggregator
from pilot_registry.ui.views.run_lines import RunLine, run_line

router = APIRouter(include_in_schema=False)

MOST = 10
MERGES = 5
LATELY = timedelta(days=1)


class HomePage(Page):
    title: str = "Home"
    cli: str = "pilot get runs"
    running: tuple[RunLine, ...] | None = None
    """None: the aggregator is away, and has never been asked."""
    merges: tuple[Merged, ...]
    rejections: tuple[RejectionView, ...] | None = None
    """Of the last day; None where the reader may not see them."""
    storage: Storage
    health: tuple[Part, ...]
    empty: bool
    """Nothing has ever run here."""


@router.get("/")
def root() -> Response:
    """People who type the address want the pages."""
    return RedirectResponse("/ui", 303)


@router.get("/ui")
def home(request: Request, registry: InRegistry, aggregator: FromAggregator, health: InHealth) -> Response:
    """The first page."""
    running, notices = _running(request, aggregator)
    merges, stored = overview.last_merges(registry, MERGES), overview.storage(registry)
    refused = None
    if caller_may(request, "operator"):
        refused = overview.rejections_since(registry, registry.clock() - LATELY, MOST)
    page = HomePage(
        running=running,
        notices=notices,
        merges=merges,
        rejections=refused,
        storage=stored,
        health=health.parts(request),
        empty=not running and not merges and not stored.versions,
    )
    return show(request, "home.html", page)


def _running(request: Request, aggregator: Aggregator) -> tuple[tuple[RunLine, ...] | None, tuple[Notice, ...]]:
    try:
        answer = aggregator.read(request, RunPage, "runs", active="true", limit=MOST)
    except Unavailable as error:
        return None, (Notice(tone="warning", text=f"Runs cannot be shown: {error.detail}."),)
    lines = tuple(run_line(view) for view in answer.document.items)
    return lines, stale_notice(answer.stale, answer.as_of)


def stale_notice(stale: bool, as_of: object) -> tuple[Notice, ...]:
    """What stands above a page whose runs are remembered."""
    if not stale:
        return ()
    text = "The aggregator does not answer; this is what it last said."
    return (Notice.model_validate({"tone": "warning", "text": text, "as_of": as_of}),)
