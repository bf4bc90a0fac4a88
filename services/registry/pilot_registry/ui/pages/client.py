"""One client: the runs that asked it, and its part in each round of one of them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pilot_http.problems import NotFound, PilotError, Unavailable
from pilot_proto.base import Stored
from pilot_proto.grant import Grant
from pilot_proto.plan import Ledger, MergePlan
from pilot_proto.registry import RejectionView
from pilot_proto.report import ClientReport, RunReport
from pydantic import Field

from pilot_registry import clients
from pilot_registry.clients import RoundOfClient, RunOfClient
from pilot_registry.context import InRegistry, Registry
from pilot_registry.paging import Cursor
from pilot_registry.ui.page import Crumb, Notice, Page, caller_may, show
from pilot_registry.ui.pages.blank import Blank
from pilot_registry.ui.pages.clients import members_of
from pilot_registry.ui.service import FromAggregator
from pilot_registry.ui.upstream import Aggregator, Answered
from pilot_registry.ui.views import client_page
from pilot_registry.ui.views.client_lines import ClientLine, client_line
from pilot_registry.ui.views.client_page import ClientRound
from pilot_registry.ui.views.outcomes import outcome, outcome_so_far
from pilot_registry.ui.views.run_page import Plot

router = APIRouter(include_in_schema=False)

CLIENTS = Crumb(text="Clients", url="/ui/clients")
RUNS = 20
ROUNDS = 12
"""In one table: each has a plan to be read, which grows with the square of a run's clients."""
REJECTIONS = 20
"""Of one client, or of one run's."""


class RunLine(Stored):
    """A run that asked the client."""

    run: str
    asked: int
    answered: int
    sent: int | None = None
    answered_at: str | None = None
    """Both for operators."""


class ClientPage(Page):
    line: ClientLine
    runs: tuple[RunLine, ...]
    next: str | None = None
    run: str = ""
    """The one whose rounds are shown; empty where no run has asked the client."""
    rounds: tuple[ClientRound, ...] = ()
    earlier: int | None = None
    """There are rounds before this one."""
    metrics: Plot | None = None
    change: Plot | None = None
    distance: Plot | None = None
    about_means: tuple[str, ...] = ()
    rejections: tuple[RejectionView, ...] | None = None
    """Of all runs; None for who may not see them."""


@router.get("/ui/clients/{client}")
def show_client(
    client: str,
    request: Request,
    registry: InRegistry,
    aggregator: FromAggregator,
    run: Annotated[Annotated[str, Field(max_length=100)] | None, Blank] = None,
    before: Annotated[int | None, Query(ge=0, le=1 << 31)] = None,
    cursor: Cursor = None,
) -> Response:
    """A client and, of one of its runs (the newest unless `run` names another), its last rounds or those `before`
    one."""
    figures = caller_may(request, "operator")
    members, notices = members_of(request, aggregator)
    totals = clients.totals_of(registry, client)
    if totals is None and client not in (members or {}):
        raise _unknown(client, asked=members is not None)
    runs, following = clients.runs_of(registry, client, RUNS, cursor)
    part = clients.run_of(registry, client, run) if run else next(iter(runs), None)
    if run and part is None:
        raise NotFound(f"no run {run!r} has asked the client {client!r}", hint="its page lists those that have")
    refused = clients.refused(registry, [client]).get(client, 0) if figures else None
    page = ClientPage(
        title=client,
        crumbs=(CLIENTS,),
        notices=notices,
        line=client_line(client, members, totals, refused),
        runs=tuple(_run_line(each, figures) for each in runs),
        next=following,
        rejections=clients.rejections_of(registry, client, REJECTIONS) if figures else None,
    )
    if part is not None:
        page = _with_rounds(page, part, before, request, registry, aggregator)
    return show(request, "client.html", page)


def _unknown(client: str, *, asked: bool) -> PilotError:
    if not asked:
        hint = "the aggregator knows the federation, and does not answer; see System"
        return Unavailable(f"no run has asked a client {client!r}", hint=hint)
    return NotFound(f"the federation has no client {client!r}, and no run has asked one", hint="/ui/clients lists them")


def _with_rounds(
    page: ClientPage,
    part: RunOfClient,
    before: int | None,
    request: Request,
    registry: Registry,
    aggregator: Aggregator,
) -> ClientPage:
    client, figures = page.line.name, page.rejections is not None
    found = clients.rounds_of(registry, client, part, ROUNDS + 1, before)
    shown = found[-ROUNDS:]
    refused = clients.rejections_of(registry, client, REJECTIONS, part) if figures else None
    plans = {each.round: registry.documents.read(MergePlan, each.plan) if each.plan else None for each in shown}
    rounds = tuple(_round(each, client, plans[each.round], refused, registry) for each in shown)
    report, notices = _report(part.run, client, request, aggregator)
    return page.model_copy(
        update={
            "notices": (*page.notices, *notices),
            "run": part.run,
            "rounds": rounds,
            "earlier": shown[0].round if len(found) > ROUNDS else None,
            "metrics": client_page.metric_plot(report),
            "change": client_page.change_plot(rounds),
            "distance": client_page.mean_plot(rounds),
            "about_means": client_page.about_means([plan for plan in plans.values() if plan]) if figures else (),
        }
    )


def _round(
    found: RoundOfClient,
    client: str,
    plan: MergePlan | None,
    refused: tuple[RejectionView, ...] | None,
    registry: Registry,
) -> ClientRound:
    grant = Grant.read(found.grant)
    ledger = registry.documents.read(Ledger, found.ledger) if found.ledger else None
    entry = next((each for each in ledger.entries if each.client == client), None) if ledger else None
    so_far = outcome_so_far(answered=found.commit is not None, sealed=found.sealed, revoked=found.revoked)
    known = ClientRound(
        round=found.round,
        program=grant.program,
        outcome=outcome(entry) if entry else so_far,
        num_examples=entry.num_examples if entry else None,
        flags=entry.flags if entry else (),
        commit=found.commit,
        mixes=client_page.mixes(plan, client, grant.task) if plan else (),
    )
    if refused is None:
        return known
    own = tuple(each for each in refused if each.round == found.round)
    figures = client_page.figures_of(entry, plan, client)
    return known.model_copy(update={**figures, "sent": found.sent, "refused": own})


def _report(
    run: str, client: str, request: Request, aggregator: Aggregator
) -> tuple[ClientReport | None, tuple[Notice, ...]]:
    """What the client measured in a run."""
    try:
        answer = aggregator.read(request, RunReport, f"runs/{run}/report")
    except (Unavailable, Answered) as error:
        return None, (Notice(tone="info", text=f"What it measured in {run} is not known now: {error.detail}."),)
    return next((each for each in answer.document.clients if each.client == client), None), ()


def _run_line(part: RunOfClient, figures: bool) -> RunLine:
    line = RunLine(run=part.run, asked=part.asked, answered=part.answered)
    return line.model_copy(update={"sent": part.sent, "answered_at": part.answered_at}) if figures else line
