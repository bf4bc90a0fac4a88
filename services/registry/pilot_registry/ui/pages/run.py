"""One run: its clients now, its rounds, what was measured, and what a person may do to it."""

from urllib.parse import urlencode

import yaml
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pilot_http.auth import Caller
from pilot_http.problems import NotFound, Unavailable
from pilot_proto.base import Stored, as_json
from pilot_proto.local_update import LocalUpdate, LocalUpdatePage
from pilot_proto.plan import RoundOutline, RoundOutlinePage
from pilot_proto.report import RunReport
from pilot_proto.run import TERMINAL, RunView
from pilot_reports import metric_tables, run_tables
from pilot_reports.history import History
from pilot_reports.tables import Table

from pilot_registry import catalog, overview
from pilot_registry.context import InRegistry, Registry
from pilot_registry.query import Search
from pilot_registry.ui.page import Crumb, Notice, Page, caller_may, show
from pilot_registry.ui.pages.home import stale_notice
from pilot_registry.ui.service import FromAggregator
from pilot_registry.ui.upstream import Aggregator
from pilot_registry.ui.views import run_page
from pilot_registry.ui.views.run_lines import RunLine, run_line
from pilot_registry.ui.views.run_page import ClientLine, Plot, Verbs
from pilot_registry.ui.views.tones import tone

router = APIRouter(include_in_schema=False)

RUNS = Crumb(text="Runs", url="/ui/runs")
DONE = {
    "trigger": ("rounds", "The next round may start."),
    "pause": ("pause", "The run pauses when the round at work is published."),
    "resume": ("resume", "The run goes on."),
    "cancel": ("cancel", "The run is being cancelled; what was published stays."),
}


class RoundRow(Stored):
    """A round in the run's list."""

    outline: RoundOutline
    tone: str
    sent: int
    """Bytes of the updates that were accepted in it."""


class RunPage(Page):
    line: RunLine
    run: RunView
    clients: tuple[ClientLine, ...]
    verbs: Verbs
    rounds: tuple[RoundRow, ...]
    plots: tuple[Plot, ...]
    gains: Table
    loss: Plot | None
    """None where nothing was trained, or the reader is no operator."""
    settings: Table
    spec_yaml: str
    live: bool
    """Whether it still changes."""


class LostRunPage(Page):
    """What the index alone knows of a run."""

    run: str
    published: tuple[int, ...]


@router.get("/ui/runs/{run}")
def show_run(run: str, request: Request, caller: Caller, registry: InRegistry, aggregator: FromAggregator) -> Response:
    """A run; while the aggregator is away, what it last said or what the index knows."""
    try:
        page = run_document(run, request, registry, aggregator)
    except Unavailable as error:
        return show(request, "run_away.html", _from_index(run, caller, registry, error))
    return show(request, "run.html", page)


@router.post("/ui/runs/{run}/{verb}")
def act(run: str, verb: str, request: Request, aggregator: FromAggregator) -> Response:
    """Trigger, pause, resume or cancel, as whoever asks."""
    if verb not in DONE:
        raise NotFound(f"nothing is called {verb!r} here", hint=f"a run knows {', '.join(sorted(DONE))}")
    path, done = DONE[verb]
    body = None
    if verb == "trigger":
        body = {"through": aggregator.read(request, RunView, f"runs/{run}").document.status.published + 1}
    aggregator.do(request, "POST", f"runs/{run}/{path}", body)
    return back_to(f"/ui/runs/{run}", done)


@router.post("/ui/runs/{run}/rounds/{n}/clients/{client}/retry")
def retry(run: str, n: int, client: str, request: Request, aggregator: FromAggregator) -> Response:
    """Ask a client again, as whoever asks."""
    aggregator.do(request, "POST", f"runs/{run}/rounds/{n}/clients/{client}/retry")
    return back_to(f"/ui/runs/{run}", f"{client} will be asked again.")


def to_run(run: str) -> tuple[Crumb, ...]:
    """The way to a run."""
    return RUNS, Crumb(text=run, url=f"/ui/runs/{run}")


def to_round(run: str, number: int) -> tuple[Crumb, ...]:
    """The way to a round of it."""
    return *to_run(run), Crumb(text=f"round {number}", url=f"/ui/runs/{run}/rounds/{number}")


def back_to(place: str, done: str, **query: str) -> RedirectResponse:
    """After a form: the page again, saying what was done."""
    return RedirectResponse(f"{place}?{urlencode({**query, 'done': done})}", 303)


def run_document(run: str, request: Request, registry: Registry, aggregator: Aggregator) -> RunPage:
    """Everything on a run's page."""
    answer = aggregator.read(request, RunView, f"runs/{run}")
    report = aggregator.read(request, RunReport, f"runs/{run}/report").document
    outlines = aggregator.read(request, RoundOutlinePage, f"runs/{run}/outline").document.items
    view, sent = answer.document, overview.sent_by_round(registry, run)
    history = History(view=view, report=report, rounds=())
    return RunPage(
        title=run,
        crumbs=(RUNS,),
        cli=f"pilot describe run {run}",
        notices=stale_notice(answer.stale, answer.as_of),
        line=run_line(view),
        run=view,
        clients=run_page.client_lines(view),
        verbs=run_page.verbs(view),
        rounds=tuple(RoundRow(outline=o, tone=tone(o.state), sent=sent.get(o.round, 0)) for o in outlines),
        plots=run_page.metric_plots(report),
        gains=metric_tables.gains(history),
        loss=run_page.loss_plot(_updates(run, request, aggregator)),
        settings=run_tables.settings(history),
        spec_yaml=yaml.safe_dump(as_json(view.spec), sort_keys=False, allow_unicode=True),
        live=view.status.phase not in TERMINAL,
    )


def _updates(run: str, request: Request, aggregator: Aggregator) -> tuple[LocalUpdate, ...]:
    if not caller_may(request, "operator"):
        return ()
    return aggregator.read(request, LocalUpdatePage, f"runs/{run}/updates").document.items


def _from_index(run: str, caller: Caller, registry: Registry, error: Unavailable) -> LostRunPage:
    numbers = overview.published_rounds(registry, run)
    if not numbers and not catalog.search(registry, caller, Search(run=run), 1, None).items:
        raise error
    text = f"{error.detail.capitalize()}. This is what the adapters here tell of the run."
    notices = (Notice(tone="warning", text=text),)
    return LostRunPage(title=run, crumbs=(RUNS,), notices=notices, run=run, published=tuple(numbers))
