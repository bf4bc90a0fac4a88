"""Transfer: what federating gave each client over training alone."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pilot_http.auth import Caller
from pilot_http.problems import Invalid, Unavailable
from pilot_proto.report import RunReport
from pilot_proto.run import RunPage, RunView
from pilot_reports import metric_tables
from pilot_reports.history import History
from pilot_reports.tables import Table
from pilot_reports.transfer import transfers

from pilot_registry import catalog, published
from pilot_registry.context import InRegistry, Registry
from pilot_registry.ui.downloads import html_file
from pilot_registry.ui.page import Notice, Page, show
from pilot_registry.ui.pages.home import stale_notice
from pilot_registry.ui.service import FromAggregator
from pilot_registry.ui.upstream import Aggregator, Answered
from pilot_registry.ui.views import transfer_page
from pilot_registry.ui.views.transfer_page import Choice, Gains, Lacking

router = APIRouter(include_in_schema=False)

LISTED = 50
MOST_RUNS = 8


class TransferPage(Page):
    title: str = "Transfer"
    choices: tuple[Choice, ...]
    """The newest runs, and those that are chosen."""
    chosen: tuple[str, ...] = ()
    side_by_side: Table | None = None
    found: tuple[Gains, ...] = ()
    lacking: Lacking | None = None
    ledgers: Table | None = None
    """Instead of everything else while the aggregator is away."""


def wanted(run: Annotated[list[str] | None, Query(max_length=200)] = None) -> tuple[str, ...]:
    """The runs that were chosen, each once; fields that were left empty are none.

    Raises:
        Invalid: too many.
    """
    names = tuple(dict.fromkeys(name.strip() for name in run or [] if name.strip()))
    if len(names) > MOST_RUNS:
        raise Invalid(f"{len(names)} runs are chosen", hint=f"choose at most {MOST_RUNS}")
    return names


Wanted = Annotated[tuple[str, ...], Depends(wanted)]


@router.get("/ui/transfer")
def transfer(
    request: Request, caller: Caller, registry: InRegistry, aggregator: FromAggregator, names: Wanted
) -> Response:
    """The chosen runs against the one among them that trained alone."""
    return show(request, "transfer.html", document(request, caller, registry, aggregator, names))


@router.get("/ui/transfer/report.html")
def transfer_file(
    request: Request, caller: Caller, registry: InRegistry, aggregator: FromAggregator, names: Wanted
) -> Response:
    """The same as one file that needs nothing else."""
    page = document(request, caller, registry, aggregator, names)
    return html_file("transfer.html", "transfer_file.html", page)


def document(
    request: Request, caller: Caller, registry: Registry, aggregator: Aggregator, names: tuple[str, ...]
) -> TransferPage:
    """Everything on the page."""
    try:
        listed = aggregator.read(request, RunPage, "runs", limit=LISTED)
        histories, notices = read_histories(request, aggregator, names)
    except Unavailable as error:
        return _from_ledgers(caller, registry, names, error)
    views = listed.document.items
    by_name = {history.name: history for history in histories}
    return TransferPage(
        cli=f"pilot report {' '.join(names)} --out report.html" if names else "",
        notices=(*stale_notice(listed.stale, listed.as_of), *notices),
        choices=transfer_page.choices(views, names),
        chosen=tuple(by_name),
        side_by_side=metric_tables.side_by_side(histories) if len(histories) > 1 else None,
        found=tuple(
            transfer_page.gains(found, by_name[found.run], published.last_merge(registry, found.run))
            for found in transfers(histories)
        ),
        lacking=transfer_page.lacking(histories, views),
    )


def read_histories(
    request: Request, aggregator: Aggregator, names: tuple[str, ...]
) -> tuple[list[History], tuple[Notice, ...]]:
    """What the aggregator tells of runs, without their rounds; and which of them it does not know.

    Raises:
        Unavailable: it is away, and nothing is remembered.
    """
    found: list[History] = []
    notices: list[Notice] = []
    for name in names:
        try:
            view = aggregator.read(request, RunView, f"runs/{name}").document
            report = aggregator.read(request, RunReport, f"runs/{name}/report").document
        except Answered as error:
            notices.append(Notice(tone="warning", text=f"{name} is left out: {error.detail}"))
        else:
            found.append(History(view=view, report=report, rounds=()))
    return found, tuple(notices)


def _from_ledgers(caller: Caller, registry: Registry, names: tuple[str, ...], error: Unavailable) -> TransferPage:
    known = catalog.runs(registry, caller, LISTED)
    told = {
        name: [mean for ledger in published.last_ledgers(registry, name) for mean in ledger.task_means]
        for name in names
    }
    text = f"{error.detail.capitalize()}. What single clients gained is not known now; the ledgers have means by task."
    others = {run.name: Choice(name=run.name, chosen=run.name in names) for run in known}
    missing = {name: Choice(name=name, chosen=True) for name in names if name not in others}
    return TransferPage(
        notices=(Notice(tone="warning", text=text),),
        choices=tuple((missing | others).values()),
        chosen=names,
        ledgers=metric_tables.ledger_means(told) if any(told.values()) else None,
    )
