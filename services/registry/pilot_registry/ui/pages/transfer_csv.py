"""Transfer as CSV: what is on the page, and what it comes from."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from fastapi import APIRouter, Request, Response
from pilot_proto.local_update import LocalUpdate, LocalUpdatePage
from pilot_proto.plan import RoundDocument, RoundOutlinePage
from pilot_reports import tidy
from pilot_reports.history import History
from pilot_reports.tidy import Line
from pilot_reports.transfer import transfers

from pilot_registry import published
from pilot_registry.context import InRegistry, Registry
from pilot_registry.ui.downloads import csv_file
from pilot_registry.ui.page import caller_may
from pilot_registry.ui.pages.transfer import Wanted, read_histories
from pilot_registry.ui.service import FromAggregator
from pilot_registry.ui.upstream import Aggregator

router = APIRouter(include_in_schema=False)

Tidy = Literal["gains", "metrics", "merge", "participation"]


@router.get("/ui/transfer/{table}.csv")
def transfer_csv(
    table: Tidy, request: Request, registry: InRegistry, aggregator: FromAggregator, names: Wanted
) -> Response:
    """`gains`: what the page shows. The others as `pilot report --csv` writes them: every value that was measured,
    every coefficient, every client in every round."""
    histories, _ = read_histories(request, aggregator, names)
    columns, lines = _table(table, [_with_rounds(table, each, request, registry, aggregator) for each in histories])
    return csv_file(f"{table}.csv", columns, lines)


def _table(table: Tidy, histories: Sequence[History]) -> tuple[Sequence[str], Iterable[Line]]:
    if table == "gains":
        return tidy.GAINS, tidy.gains(transfers(histories))
    if table == "metrics":
        return tidy.METRICS, tidy.metrics(histories)
    if table == "merge":
        return tidy.MERGE, tidy.merge(histories)
    return tidy.PARTICIPATION, tidy.participation(histories)


def _with_rounds(
    table: Tidy, history: History, request: Request, registry: Registry, aggregator: Aggregator
) -> History:
    """Plans and ledgers are here; what was measured in a round only the aggregator knows."""
    if table == "gains":
        return history
    if table == "metrics":
        return replace(history, rounds=_measured(history.name, request, aggregator))
    found = replace(history, rounds=tuple(published.rounds(registry, history.name)))
    if table == "participation" and caller_may(request, "operator"):
        return replace(found, updates=_updates(history.name, request, aggregator))
    return found


def _measured(run: str, request: Request, aggregator: Aggregator) -> tuple[RoundDocument, ...]:
    outlines = aggregator.read(request, RoundOutlinePage, f"runs/{run}/outline").document.items
    numbers = (outline.round for outline in outlines)
    return tuple(aggregator.read(request, RoundDocument, f"runs/{run}/rounds/{n}").document for n in numbers)


def _updates(run: str, request: Request, aggregator: Aggregator) -> tuple[LocalUpdate, ...]:
    return aggregator.read(request, LocalUpdatePage, f"runs/{run}/updates").document.items
