"""What is known of one round: the aggregator's word as long as it is there, and the registry's own."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import Request
from pilot_http.auth import principal_of
from pilot_http.problems import NotFound, Unavailable
from pilot_proto.plan import Ledger, MergePlan, RoundDocument
from pilot_proto.run import RunView
from pilot_proto.timeline import ClientTimes, RoundTimeline

from pilot_registry.context import Registry
from pilot_registry.round_account import RoundAccount, account
from pilot_registry.ui.page import Notice
from pilot_registry.ui.pages.home import stale_notice
from pilot_registry.ui.upstream import Aggregator, Answered


@dataclass(frozen=True)
class RoundSources:
    """Everything about a round, from whoever knows it."""

    account: RoundAccount | None
    """None for a round that came from another run."""
    plan: MergePlan | None
    ledger: Ledger | None
    document: RoundDocument | None
    """None while the aggregator is away and nothing is remembered."""
    timeline: RoundTimeline | None
    run: RunView | None
    """Of a round that is not published."""
    notices: tuple[Notice, ...] = ()
    stale: bool = False
    """The aggregator is away: nothing can be done."""

    @property
    def state(self) -> str:
        if self.account is not None and self.account.published:
            return "Published"
        if self.document is not None:
            return self.document.state
        return "Sealed" if self.account is not None and self.account.sealed else "Assigned"

    @property
    def program(self) -> str:
        known = self.document or self.ledger or self.account
        return (known.program if known else None) or "unknown"


def round_sources(run: str, number: int, request: Request, registry: Registry, aggregator: Aggregator) -> RoundSources:
    """Gather them for whoever sent the request. Plan and ledger of a published round come from the registry, which
    will have them for ever.

    Raises:
        Answered, NotFound: nobody knows the round. Unavailable: the aggregator might, and is away.
    """
    known = known_account(run, number, request, registry)
    published = known is not None and known.published
    plan = registry.documents.read(MergePlan, known.plan) if known and known.plan else None
    ledger = registry.documents.read(Ledger, known.ledger) if known and known.ledger else None
    lost = _lost(known, plan, ledger)
    place = f"runs/{run}/rounds/{number}"
    try:
        answer = aggregator.read(request, RoundDocument, place, plan="false" if published else None)
        timeline = aggregator.read(request, RoundTimeline, f"{place}/timeline").document
        view = None if published else aggregator.read(request, RunView, f"runs/{run}").document
    except (Unavailable, Answered) as error:
        if known is None or (isinstance(error, Answered) and not published):
            raise
        notices = (_alone(error.detail), *lost)
        return RoundSources(known, plan, ledger, None, _times(known), None, notices, stale=True)
    return RoundSources(
        account=known,
        plan=plan or answer.document.plan,
        # Where the store has lost it, the aggregator still knows.
        ledger=ledger or answer.document.ledger,
        document=answer.document,
        timeline=timeline,
        run=view,
        notices=(*stale_notice(answer.stale, answer.as_of), *lost),
        stale=answer.stale,
    )


def plan_of(
    run: str, number: int, request: Request, registry: Registry, aggregator: Aggregator
) -> tuple[MergePlan | None, tuple[Notice, ...]]:
    """What a round merges or merged, and what a reader must know about that word.

    Raises:
        Answered: nobody knows the round. Unavailable: the aggregator might, and is away.
    """
    known = known_account(run, number, request, registry)
    if known is not None and known.plan is not None:
        return registry.documents.read(MergePlan, known.plan), ()
    answer = aggregator.read(request, RoundDocument, f"runs/{run}/rounds/{number}")
    return answer.document.plan, stale_notice(answer.stale, answer.as_of)


def known_account(run: str, number: int, request: Request, registry: Registry) -> RoundAccount | None:
    """The registry's account of a round, if it has heard of it."""
    try:
        return account(registry, principal_of(request), run, number)
    except NotFound:
        return None


def _alone(why: str) -> Notice:
    text = f"{why.capitalize()}. This is what the registry itself knows of the round."
    return Notice(tone="warning", text=text)


def _lost(known: RoundAccount | None, plan: MergePlan | None, ledger: Ledger | None) -> tuple[Notice, ...]:
    missing = [name for name, there in (("plan", plan), ("ledger", ledger)) if there is None]
    if known is None or not known.published or not missing:
        return ()
    text = f"The {' and the '.join(missing)} of this round cannot be read: 'pilot registry check' looks for lost bytes."
    return (Notice(tone="bad", text=text),)


def _times(known: RoundAccount) -> RoundTimeline | None:
    """What the registry's audit tells: no attempts, and of the steps only its own."""
    if known.granted_at is None or known.program is None:
        return None
    return RoundTimeline(
        run=known.run,
        round=known.round,
        program=known.program,
        opened_at=datetime.fromisoformat(known.granted_at),
        sealed_at=datetime.fromisoformat(known.sealed_at) if known.sealed_at else None,
        published_at=datetime.fromisoformat(known.published_at) if known.published_at else None,
        clients=tuple(ClientTimes(client=each.client, task=each.task) for each in known.granted),
    )
