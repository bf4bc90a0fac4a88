"""Updates that somebody should look at: held for a verdict, flagged lately, or refused by admission."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from pilot_http.problems import Unavailable
from pilot_proto.plan import RoundDocument
from pilot_proto.run import RunPage, RunView

from pilot_registry import rejections
from pilot_registry.context import InRegistry
from pilot_registry.flagged import ROUNDS, Flagged, flagged_lately
from pilot_registry.paging import Cursor
from pilot_registry.ui.page import Crumb, Notice, Page, show
from pilot_registry.ui.pages.blank import Blank
from pilot_registry.ui.pages.home import stale_notice
from pilot_registry.ui.pages.round import Number
from pilot_registry.ui.pages.run import back_to
from pilot_registry.ui.pages.signing import read_form
from pilot_registry.ui.service import FromAggregator
from pilot_registry.ui.upstream import Aggregator
from pilot_registry.ui.views.held import HeldRound, awaiting, held_round
from pilot_registry.ui.views.meanings import REFUSALS, Meaning, meanings
from pilot_registry.ui.views.refused import Refused, refused

router = APIRouter(include_in_schema=False)

PLACE = "/ui/quarantine"
LIMIT = 25
MOST_RUNS = 200
MOST_HELD = 8
"""Rounds that are shown at once; the others stand as links."""
DECISIONS = {"count": "counts now", "drop": "is left out"}

Name = Annotated[str | None, Query(max_length=100), Blank]


class QuarantinePage(Page):
    title: str = "Quarantine"
    cli: str = "pilot get clients RUN"
    held: tuple[HeldRound, ...] | None = None
    """None: the aggregator is away, and nothing is remembered."""
    further: tuple[Crumb, ...] = ()
    """More rounds that wait."""
    decidable: bool = False
    flagged: tuple[Flagged, ...] = ()
    rounds: int = ROUNDS
    """Among how many published rounds was looked."""
    refused: tuple[Refused, ...] = ()
    next: str | None = None
    codes: tuple[str, ...] = REFUSALS
    run: str = ""
    client: str = ""
    code: str = ""
    meanings: tuple[Meaning, ...] = ()


@router.get(PLACE)
def quarantine(
    request: Request,
    registry: InRegistry,
    aggregator: FromAggregator,
    run: Name = None,
    client: Name = None,
    code: Name = None,
    limit: Annotated[int, Query(ge=1, le=200)] = LIMIT,
    cursor: Cursor = None,
) -> Response:
    """For operators. The filters are of the refused uploads."""
    wanted = rejections.Wanted(run=run, client=client, code=code)
    found = rejections.page(registry, wanted, limit, cursor)
    marked = flagged_lately(registry)
    words = {mark for each in marked for mark in each.flags} | {each.reason for each in marked if each.reason}
    page = QuarantinePage(
        **_held(request, aggregator),
        flagged=marked,
        refused=refused(found.items),
        next=found.next,
        run=run or "",
        client=client or "",
        code=code or "",
        meanings=meanings(words),
    )
    return show(request, "quarantine.html", page)


@router.post("/ui/runs/{run}/rounds/{n}/clients/{client}/verdict")
async def decide(run: str, n: Number, client: str, request: Request, aggregator: FromAggregator) -> RedirectResponse:
    """Accept or refuse a held update, as whoever asks; the aggregator wants a reason, and keeps it."""
    form = await read_form(request)
    body = {"verdict": form.get("verdict", ""), "reason": form.get("reason", "").strip()}
    place = f"runs/{run}/rounds/{n}/clients/{client}/verdict"
    await run_in_threadpool(aggregator.do, request, "POST", place, body)
    return back_to(PLACE, f"The update of {client} {DECISIONS.get(body['verdict'], 'is decided')}.")


def _held(request: Request, aggregator: Aggregator) -> dict[str, object]:
    try:
        answer = aggregator.read(request, RunPage, "runs", active="true", limit=MOST_RUNS)
        waiting = awaiting(answer.document.items)
        rounds = [_round(view, request, aggregator) for view in waiting[:MOST_HELD]]
    except Unavailable as error:
        text = f"{error.detail.capitalize()}. What is held now cannot be shown."
        return {"notices": (Notice(tone="warning", text=text),)}
    return {
        "held": tuple(round_ for round_ in rounds if round_ is not None),
        "further": tuple(_crumb(view) for view in waiting[MOST_HELD:]),
        "decidable": not answer.stale,
        "notices": stale_notice(answer.stale, answer.as_of),
    }


def _round(view: RunView, request: Request, aggregator: Aggregator) -> HeldRound | None:
    run, number = view.metadata["name"], view.status.round
    document = aggregator.read(request, RoundDocument, f"runs/{run}/rounds/{number}", plan="false").document
    clients = aggregator.read(request, RunView, f"runs/{run}").document.status.clients
    return held_round(view, document, {client.name: client.task for client in clients})


def _crumb(view: RunView) -> Crumb:
    run, number = view.metadata["name"], view.status.round
    return Crumb(text=f"{run}, round {number}", url=f"/ui/runs/{run}/rounds/{number}")
