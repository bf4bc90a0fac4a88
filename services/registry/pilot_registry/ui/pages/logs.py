"""What a client's newest attempt printed."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from pilot_proto.timeline import AttemptTimes, RoundTimeline

from pilot_registry.ui.page import SECURITY, Page, show
from pilot_registry.ui.pages.round import Number
from pilot_registry.ui.pages.run import to_round
from pilot_registry.ui.service import FromAggregator
from pilot_registry.ui.views.log_lines import MOST, LogLine, log_lines
from pilot_registry.ui.views.tones import tone

router = APIRouter(include_in_schema=False)


class AttemptLine(AttemptTimes):
    tone: str


class LogsPage(Page):
    run: str
    round: int
    client: str
    attempts: tuple[AttemptLine, ...]
    lines: tuple[LogLine, ...]
    """The last ones."""
    cut: bool
    """There are more before them."""


@router.get("/ui/runs/{run}/rounds/{n}/clients/{client}/logs")
def logs(run: str, n: Number, client: str, request: Request, aggregator: FromAggregator) -> Response:
    """The last lines, or with `?format=text` all of them as they are."""
    place = f"runs/{run}/rounds/{n}"
    text = aggregator.text(request, f"{place}/clients/{client}/logs")
    if request.query_params.get("format") == "text":
        return PlainTextResponse(text, headers=SECURITY)
    told = aggregator.read(request, RoundTimeline, f"{place}/timeline").document
    attempts = [attempt for each in told.clients if each.client == client for attempt in each.attempts]
    page = LogsPage(
        title=f"Log of {client}",
        crumbs=to_round(run, n),
        cli=f"pilot logs {run} --client {client} --round {n}",
        run=run,
        round=n,
        client=client,
        attempts=tuple(AttemptLine(**vars(attempt), tone=tone(attempt.state)) for attempt in attempts),
        lines=log_lines(text),
        cut=text.count("\n") > MOST,
    )
    return show(request, "logs.html", page)
