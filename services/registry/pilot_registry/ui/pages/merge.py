"""All distances of one merge: drawn as a whole, as a table in pieces, and with the weights as a file."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pilot_http.problems import NotFound
from pilot_proto.names import Kind
from pilot_reports import merge_tables, tidy
from pilot_reports.tables import Table
from pydantic import Field

from pilot_registry.context import InRegistry
from pilot_registry.ui.downloads import csv_file
from pilot_registry.ui.page import Page, show
from pilot_registry.ui.pages.round import Number
from pilot_registry.ui.pages.run import to_round
from pilot_registry.ui.round_sources import plan_of
from pilot_registry.ui.service import FromAggregator
from pilot_registry.ui.views.heat_map import HeatMap, heat_map

router = APIRouter(include_in_schema=False)

CELLS = 2500
"""In one piece of the table."""


class DistancesPage(Page):
    run: str
    round: int
    kind: Kind
    kinds: tuple[Kind, ...]
    """Those with distances."""
    rule: str
    drawing: HeatMap | None = Field(default=None, exclude=True)
    """Paths for the eye: the table and the file have the numbers."""
    clients: int
    table: Table
    first: int
    next: str | None = None


@router.get("/ui/runs/{run}/rounds/{n}/distances")
def distances(
    run: str,
    n: Number,
    request: Request,
    registry: InRegistry,
    aggregator: FromAggregator,
    kind: Kind | None = None,
    cursor: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """Everybody against everybody."""
    plan, notices = plan_of(run, n, request, registry, aggregator)
    known = [each for each in (plan.kinds if plan else ()) if each.distances is not None]
    chosen = next((each for each in known if kind in (None, each.kind)), None)
    if chosen is None:
        what = f"distances of {kind} adapters" if kind else "distances"
        hint = "only the rule 'nearest' looks at distances; the page of the round says which rule merged what"
        raise NotFound(f"round {n} of run {run!r} has no {what}", hint=hint)
    lines = max(1, CELLS // max(1, len(chosen.inputs)))
    table = merge_tables.distances(n, chosen, slice(cursor, cursor + lines))
    assert table is not None, "chosen for its distances"
    page = DistancesPage(
        title=f"{run}, round {n}: distances",
        crumbs=to_round(run, n),
        cli=f"pilot describe round {run}/{n} -o json",
        notices=notices,
        run=run,
        round=n,
        kind=chosen.kind,
        kinds=tuple(each.kind for each in known),
        rule=merge_tables.rule_words(chosen),
        drawing=heat_map(chosen) if cursor == 0 else None,
        clients=len(chosen.inputs),
        table=table,
        first=cursor,
        next=str(cursor + lines) if cursor + lines < len(chosen.inputs) else None,
    )
    return show(request, "distances.html", page)


@router.get("/ui/runs/{run}/rounds/{n}/merge.csv")
def merge_csv(run: str, n: Number, request: Request, registry: InRegistry, aggregator: FromAggregator) -> Response:
    """Every coefficient, with the distance between the receiver's own upload and the contributor's."""
    plan, _ = plan_of(run, n, request, registry, aggregator)
    return csv_file(f"{run}-round-{n}-merge.csv", tidy.MERGE, tidy.merge_of(run, n, plan.kinds if plan else ()))
