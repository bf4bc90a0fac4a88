"""Two versions side by side: settings, tensors, layers, where they meet and what both measured."""

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pilot_http import cursors
from pilot_http.auth import Caller
from pilot_http.problems import Unavailable
from pilot_proto.base import Stored
from pilot_proto.registry import CompareReport, TensorComparison
from pilot_proto.report import RunReport
from pilot_reports.round_tables import Measured, between
from pilot_reports.tables import Table
from pilot_reports.tidy import Line

from pilot_registry import compare, family
from pilot_registry.configs import config_of
from pilot_registry.context import InRegistry
from pilot_registry.paging import Cursor
from pilot_registry.tensor_pages import begin_of
from pilot_registry.ui.downloads import csv_file
from pilot_registry.ui.page import Crumb, Notice, Page, show
from pilot_registry.ui.pages import compare_pick
from pilot_registry.ui.pages.adapter_head import Opened, opened
from pilot_registry.ui.pages.blank import Blank
from pilot_registry.ui.pages.home import stale_notice
from pilot_registry.ui.service import FromAggregator
from pilot_registry.ui.upstream import Aggregator, Answered
from pilot_registry.ui.views.adapter_lines import AdapterLine, adapter_line
from pilot_registry.ui.views.differences import Difference, differences, manifest_fields
from pilot_registry.ui.views.layers import Layer, LayerBars, layer_bars, layers
from pilot_registry.ui.views.tensor_names import common_beginning

router = APIRouter(include_in_schema=False)

TENSORS, NAMES = 50, 50
COLUMNS = ("file", "name", "shape", "norm_a", "norm_b", "l2", "cosine", "relative")

Reference = Annotated[str | None, Query(max_length=300), Blank]


class Meet(Stored):
    """Where the ways back from both meet first."""

    repo: str
    commit: str
    visible: bool
    itself: str
    """`a` or `b`, where one of the two is the other's ancestor."""


class ComparePage(Page):
    a: AdapterLine
    b: AdapterLine
    l2: float
    cosine: float | None
    relative: float | None
    identical: bool
    config: tuple[Difference, ...]
    manifest: tuple[Difference, ...]
    layers: tuple[Layer, ...]
    bars: LayerBars
    tensors: tuple[TensorComparison, ...]
    """Largest change first."""
    beginning: str
    """What the names of the tensors on this page have in common."""
    total: int
    name: str
    next: str | None
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    different_shape: tuple[str, ...]
    meeting: tuple[Meet, ...]
    steps: int
    searched: bool
    metrics: Table | None
    rounds: tuple[Crumb, ...]
    """Other rounds of the same repository against each other."""
    swap: str
    permalink: str
    csv: str


@router.get("/ui/compare")
def show_comparison(
    request: Request,
    caller: Caller,
    registry: InRegistry,
    aggregator: FromAggregator,
    a: Reference = None,
    b: Reference = None,
    pick: Annotated[list[str] | None, Query(max_length=200)] = None,
    q: Annotated[str | None, Query(max_length=300), Blank] = None,
    name: Annotated[str, Query(max_length=200)] = "",
    cursor: Cursor = None,
) -> Response:
    """Two versions by `a` and `b`, each `ns/repo@rev`. `pick` is how a list of versions asks."""
    if a is None or b is None:
        return compare_pick.choose(request, caller, registry, a or b, tuple(pick or ()), q)
    left, right = (opened(request, registry, caller, *compare.parts(reference)) for reference in (a, b))
    report = compare.compare(registry, caller, *(adapter_line(side.view).reference for side in (left, right)))
    return show(request, "compare.html", _page(left, right, report, aggregator, name, cursor))


@router.get("/ui/compare.csv")
def comparison_csv(
    caller: Caller,
    registry: InRegistry,
    a: Annotated[str, Query(max_length=300)],
    b: Annotated[str, Query(max_length=300)],
) -> Response:
    """Every tensor of both."""
    return csv_file("compare.csv", COLUMNS, _lines(compare.compare(registry, caller, a, b)))


def _lines(report: CompareReport) -> Iterator[Line]:
    for each in report.tensors:
        shape = "x".join(map(str, each.shape))
        yield each.file, each.name, shape, each.norm_a, each.norm_b, each.l2, each.cosine, each.relative


def _page(
    a: Opened, b: Opened, report: CompareReport, aggregator: Aggregator, name: str, cursor: str | None
) -> ComparePage:
    line_a, line_b = adapter_line(a.view), adapter_line(b.view)
    begin = begin_of(cursor)
    wanted = [tensor for tensor in report.tensors if name in tensor.name]
    shown = wanted[begin : begin + TENSORS]
    by_layer = layers(report.tensors)
    meeting = _meeting(a, b)
    metrics, notices = _metrics(a, b, aggregator)
    return ComparePage(
        notices=notices,
        title="Compare",
        crumbs=(Crumb(text="Adapters", url="/ui/adapters"),),
        cli=f"pilot diff {line_a.reference} {line_b.reference}",
        a=line_a,
        b=line_b,
        l2=report.l2,
        cosine=report.cosine,
        relative=report.relative,
        identical=report.l2 == 0 and not (report.only_in_a or report.only_in_b or report.different_shape),
        config=differences(*(config_of(side.registry, side.caller, side.view) for side in (a, b))),
        manifest=differences(manifest_fields(a.manifest), manifest_fields(b.manifest)),
        layers=by_layer,
        bars=layer_bars(by_layer),
        tensors=tuple(shown),
        beginning=common_beginning([tensor.name for tensor in shown]),
        total=len(wanted),
        name=name,
        next=cursors.encode([begin + len(shown)]) if begin + len(shown) < len(wanted) else None,
        only_in_a=report.only_in_a,
        only_in_b=report.only_in_b,
        different_shape=report.different_shape,
        meeting=tuple(_meet(node.repo, node.commit, node.visible, a, b) for node in meeting.nodes),
        steps=meeting.steps,
        searched=meeting.searched,
        metrics=metrics,
        rounds=compare_pick.rounds_of(a),
        swap=_url(line_b, line_a),
        permalink=_url(line_a, line_b),
        csv=f"/ui/compare.csv?{urlencode({'a': line_a.reference, 'b': line_b.reference})}",
    )


def _url(a: AdapterLine, b: AdapterLine) -> str:
    return f"/ui/compare?{urlencode({'a': a.reference, 'b': b.reference})}"


def _meeting(a: Opened, b: Opened) -> family.Meeting:
    with a.registry.database.reading() as session:
        return family.meet(session, a.caller, (a.repo, a.commit), (b.repo, b.commit))


def _meet(repo: str, commit: str, visible: bool, a: Opened, b: Opened) -> Meet:
    key = (repo, commit)
    itself = "a" if key == (a.repo, a.commit) else "b" if key == (b.repo, b.commit) else ""
    return Meet(repo=repo, commit=commit, visible=visible, itself=itself)


def _metrics(a: Opened, b: Opened, aggregator: Aggregator) -> tuple[Table | None, tuple[Notice, ...]]:
    """No table where the two have no measurement in common, or nobody can tell."""
    try:
        runs = dict.fromkeys(side.view.run for side in (a, b))
        told = {run: aggregator.read(a.request, RunReport, f"runs/{run}/report") for run in runs}
    except (Unavailable, Answered) as error:
        return None, (Notice(tone="warning", text=f"What was measured cannot be shown: {error.detail}."),)
    one, other = (
        Measured(told[side.view.run].document, side.view.round, side.view.client, side.view.task) for side in (a, b)
    )
    oldest = min(told.values(), key=lambda answer: answer.as_of)
    table = between(one, other)
    return table if table.rows else None, stale_notice(oldest.stale, oldest.as_of)
