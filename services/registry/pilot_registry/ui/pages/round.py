"""One round: when what happened, who took part, who was merged with whom, and whether the bytes are right."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse
from pilot_http.auth import principal_of
from pilot_proto.plan import GivenVerdict, VerifyReport
from pilot_reports import metric_tables
from pilot_reports.tables import Table

from pilot_registry import rejections
from pilot_registry.context import InRegistry, Registry
from pilot_registry.round_account import Output
from pilot_registry.ui.page import Crumb, Page, caller_may, show
from pilot_registry.ui.pages.blank import Blank
from pilot_registry.ui.pages.run import back_to, to_run
from pilot_registry.ui.round_sources import RoundSources, round_sources
from pilot_registry.ui.service import FromAggregator, InVerifications
from pilot_registry.ui.verifications import Verification
from pilot_registry.ui.views import round_page
from pilot_registry.ui.views.gate_plots import Strip, strips
from pilot_registry.ui.views.meanings import Meaning
from pilot_registry.ui.views.merge_lines import KindMerge, kind_merge
from pilot_registry.ui.views.refused import Refused, refused
from pilot_registry.ui.views.round_clients import Part, Wanted, columns_of, page_of, parts_of
from pilot_registry.ui.views.round_page import Head
from pilot_registry.ui.views.time_line import TimeLine, time_line
from pilot_registry.ui.views.tones import tone

router = APIRouter(include_in_schema=False)

LIMIT = 25
MOST_REFUSED = 100
VERIFY_S = 3600.0
"""A merge at 7B reads many gigabytes again."""

Number = Annotated[int, Path(ge=0, le=1_000_000)]
Name = Annotated[str | None, Query(max_length=100), Blank]


class RoundPage(Page):
    run: str
    round: int
    before: int | None = None
    after: int | None = None
    program: str
    state: str
    tone: str
    head: Head
    time_line: TimeLine | None = None
    """None where nobody knows when anything was."""
    clients: tuple[Part, ...]
    kinds: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    matching: int
    """Of all clients, how many the filters let through."""
    next: str | None = None
    wanted: Wanted
    tasks: tuple[str, ...] = ()
    """To choose from."""
    meanings: tuple[Meaning, ...] = ()
    gate: tuple[Strip, ...] | None = None
    """What the gate looked at; None where the reader may not see it, or nobody can be asked."""
    verdicts: tuple[GivenVerdict, ...] = ()
    means: Table | None = None
    merges: tuple[KindMerge, ...] = ()
    prepared: tuple[Output, ...] = ()
    """What round 0 made."""
    planned: bool
    client: str = ""
    """Whose neighbourhood is shown."""
    refused: tuple[Refused, ...] | None = None
    """None where the reader may not see them."""
    verification: Verification | None = None
    verifiable: bool = False
    """Something was merged and published, and somebody is there to recompute it."""
    source: Crumb | None = None
    """The round of another run that this one is."""


@router.get("/ui/runs/{run}/rounds/{n}")
def show_round(
    run: str,
    n: Number,
    request: Request,
    registry: InRegistry,
    aggregator: FromAggregator,
    verifications: InVerifications,
    task: Name = None,
    outcome: Name = None,
    client: Name = None,
    limit: Annotated[int, Query(ge=1, le=200)] = LIMIT,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """A round; what is published stands in the registry, so it is shown whoever is away."""
    sources = round_sources(run, n, request, registry, aggregator)
    wanted = Wanted(task=task or "", outcome=outcome or "")
    page = round_document(run, n, sources, wanted, client, limit, cursor)
    may = caller_may(request, "operator")
    more = {
        "gate": (strips(sources.document.gate) if sources.document else None) if may else None,
        "refused": _refused(registry, run, n) if may else None,
        "verification": verifications.find((run, n)),
    }
    return show(request, "round.html", page.model_copy(update=more))


@router.post("/ui/runs/{run}/rounds/{n}/verify")
def verify(
    run: str, n: Number, request: Request, aggregator: FromAggregator, verifications: InVerifications
) -> RedirectResponse:
    """Have the merge recomputed, as whoever asks; the page shows what comes of it."""

    def work() -> VerifyReport:
        body = aggregator.do(request, "POST", f"runs/{run}/rounds/{n}/verify", patience_s=VERIFY_S)
        return VerifyReport.read(body)

    begun = verifications.begin((run, n), str(principal_of(request)), work)
    done = "The merge is being recomputed." if begun else "The merge is being recomputed already."
    return back_to(f"/ui/runs/{run}/rounds/{n}", done)


def round_document(
    run: str, n: int, sources: RoundSources, wanted: Wanted, client: str | None, limit: int, cursor: str | None
) -> RoundPage:
    """The page, without what only operators see."""
    document, account, plan = sources.document, sources.account, sources.plan
    verdicts = {given.client: given for given in (document.verdicts if document else ())}
    seen = sources.run.status.clients if sources.run and sources.run.status.round == n else ()
    measured = document.evaluations if document else {}
    parts = parts_of(sources.ledger, seen, account, measured, sources.timeline)
    shown, following, matching = page_of(parts, wanted, limit, cursor)
    before, after = round_page.neighbours_of(account, n, sources.run.status.round if sources.run else n)
    places = round_page.places(account, document.outputs if document else {})
    kinds = plan.kinds if plan and sources.program != "prepare" else ()
    names = frozenset(part.client for part in shown)
    return RoundPage(
        title=f"{run}, round {n}",
        crumbs=to_run(run),
        cli=f"pilot describe round {run}/{n}",
        notices=sources.notices,
        run=run,
        round=n,
        before=before,
        after=after,
        program=sources.program,
        state=sources.state,
        tone=tone(sources.state),
        head=round_page.head(
            *(sources.program, parts, sources.timeline, document.gate if document else (), verdicts),
            holds=_awaits_verdict(sources),
        ),
        time_line=_time_line(sources, [part.client for part in shown]),
        clients=shown,
        **dict(zip(("kinds", "points"), columns_of(shown), strict=True)),
        matching=matching,
        next=following,
        wanted=wanted,
        tasks=round_page.tasks_of(parts),
        meanings=round_page.explained(shown),
        verdicts=tuple(verdicts.values()),
        means=_means(sources),
        merges=tuple(kind_merge(n, kind, places, client, names) for kind in kinds if kind.outputs),
        prepared=account.outputs if account and sources.program == "prepare" else (),
        planned=sources.ledger is not None,
        client=client or "",
        verifiable=sources.state == "Published" and bool(kinds) and not sources.stale,
        source=_source(sources, n),
    )


def _means(sources: RoundSources) -> Table | None:
    means = sources.ledger.task_means if sources.ledger else ()
    return metric_tables.task_means(means) if means else None


def _time_line(sources: RoundSources, clients: list[str]) -> TimeLine | None:
    if sources.timeline is None:
        return None
    accepted = round_page.accepted_at(sources.account)
    over = sources.timeline.published_at or (sources.run.status.ended_at if sources.run else None)
    return time_line(sources.timeline, accepted, clients, over or datetime.now(UTC))


def _awaits_verdict(sources: RoundSources) -> bool:
    conditions = sources.run.status.conditions if sources.run else ()
    return any(condition.type == "AwaitingVerdict" for condition in conditions)


def _source(sources: RoundSources, n: int) -> Crumb | None:
    """A round 0 that was taken over has no plan of its own."""
    if sources.account is not None or n != 0 or sources.run is None or sources.run.spec.start_from is None:
        return None
    begun = sources.run.spec.start_from
    return Crumb(text=f"{begun.run}, round {begun.round}", url=f"/ui/runs/{begun.run}/rounds/{begun.round}")


def _refused(registry: Registry, run: str, n: int) -> tuple[Refused, ...]:
    found = rejections.page(registry, rejections.Wanted(run=run, round=n), MOST_REFUSED, None)
    return refused(found.items)
