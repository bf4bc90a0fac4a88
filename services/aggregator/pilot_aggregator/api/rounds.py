"""Rounds: what happened and why, and a person's say in one."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import PlainTextResponse
from pilot_http.app import PREFIX
from pilot_http.auth import Caller
from pilot_http.problems import Conflict, coded
from pilot_proto.grant import RoundView
from pilot_proto.local_update import LocalUpdatePage
from pilot_proto.plan import RoundDocument, RoundOutlinePage, RoundPage, VerifyReport
from pilot_proto.run import RunView, Verdict
from pilot_proto.timeline import RoundTimeline

from pilot_aggregator.rounds.decide import ACTIVE
from pilot_aggregator.rounds.observe import round_flags
from pilot_aggregator.rounds.timeline import round_timeline
from pilot_aggregator.rounds.verification import verify_round
from pilot_aggregator.rounds.view import round_document, round_outline, single_round
from pilot_aggregator.service import Aggregator
from pilot_aggregator.store.rounds import ROUND_DOCUMENTS

router = APIRouter(prefix=PREFIX, tags=["rounds"])

Number = Annotated[int, Path(ge=0)]

BRIEF = frozenset({"sealed", "updates", "ledger", "publication", "slots"})
"""What a round tells without its plan."""


@router.get("/runs/{run}/rounds")
def list_rounds(run: str, service: Aggregator) -> RoundPage:
    """The rounds that have been opened, in order."""
    record = service.run(run)
    return RoundPage(items=tuple(round_document(record, round) for round in service.store.rounds(record.uid)))


@router.get("/runs/{run}/outline")
def list_outlines(run: str, service: Aggregator) -> RoundOutlinePage:
    """The rounds that have been opened in a few words each, in order."""
    record = service.run(run)
    found = service.store.round_summaries(record.uid)
    return RoundOutlinePage(items=tuple(round_outline(record, round) for round in found))


@router.get("/runs/{run}/updates")
def list_local_updates(run: str, service: Aggregator) -> LocalUpdatePage:
    """What each client's local updates were: losses, router, counts, and bytes sent and fetched."""
    return LocalUpdatePage(items=service.local_updates(service.run(run)))


@router.get("/runs/{run}/rounds/{n}")
def get_round(run: str, n: Number, service: Aggregator, caller: Caller, plan: bool = True) -> RoundDocument:
    """What happened in a round, and why: ledger, plan, distances, coefficients, digests, verdicts; for operators also
    what the gate looked at. `plan=false` leaves out the plan, which grows with the square of the clients."""
    record, gate = service.run(run), caller.at_least("operator")
    found = service.round(record, n, ROUND_DOCUMENTS if plan else BRIEF | {"measured"} if gate else BRIEF)
    state = service.store.round_state(record.uid, n)
    return single_round(record, found, state, service.store.assignments(record.uid, n), gate=gate)


@router.get("/runs/{run}/rounds/{n}/timeline")
def get_timeline(run: str, n: Number, service: Aggregator) -> RoundTimeline:
    """When each step of a round was done, and how long each client's attempts took."""
    record, store = service.run(run), service.store
    round, place = service.round(record, n, ()), (record.uid, n)
    made = store.assignments(*place), store.attempts(*place)
    return round_timeline(record, round, store.times.steps(*place), *made, store.times.told(*place))


@router.post("/runs/{run}/rounds/{n}/verify")
def verify(run: str, n: Number, service: Aggregator) -> VerifyReport:
    """Recompute a round's merge from its stored coefficients, and compare digests."""
    record = service.run(run)
    return verify_round(record, service.round(record, n), service.store, service.registry, service.spool)


@router.post("/runs/{run}/rounds/{n}/clients/{client}/retry", status_code=202)
def retry(run: str, n: Number, client: str, service: Aggregator) -> RunView:
    """Ask a client that failed, was lost or was rejected once more, before the seal."""
    record = service.run(run)
    service.allow(record, "retry")
    assignment = service.assignment(record, n, client)
    if service.round(record, n).sealed is not None:
        raise coded(Conflict, "round_closed", f"round {n} is sealed; a retry is possible before that")
    view = service.reconciler.views.get((record.uid, n), RoundView())
    if client in {update.client for update in view.admitted}:
        raise coded(
            Conflict, "already_answered", f"client {client!r} has answered in round {n}; there is nothing to retry"
        )
    attempts = [a for a in service.store.attempts(record.uid, n) if a.client == client]
    if attempts and attempts[-1].state in ACTIVE:
        raise coded(Conflict, "still_running", f"attempt {attempts[-1].attempt} of {client!r} is still at work")
    service.store.change_assignment(record.uid, n, assignment.client, budget_from=len(attempts), failure="")
    service.loop.bell.ring()
    return service.view(service.run(run))


@router.post("/runs/{run}/rounds/{n}/clients/{client}/verdict", status_code=202)
def give_verdict(run: str, n: Number, client: str, body: Verdict, service: Aggregator, caller: Caller) -> RunView:
    """Decide about an update that was held."""
    record = service.run(run)
    service.allow(record, "verdict")
    service.assignment(record, n, client)
    round = service.round(record, n)
    if round.plan is not None:
        raise coded(Conflict, "already_planned", f"the plan of round {n} is stored; a verdict comes too late")
    if record.spec.admission.on_flag != "hold" or client not in round_flags(record, round):
        hint = "updates are held by 'admission: {on_flag: hold}' once they are flagged; 'pilot get clients' shows which"
        raise coded(Conflict, "not_held", f"the update of {client!r} in round {n} is not held", hint)
    now, by = service.clock.now(), str(caller)
    given = {"verdict": body.verdict, "verdict_reason": body.reason, "verdict_by": by, "verdict_at": now}
    service.store.change_assignment(record.uid, n, client, **given)
    service.store.add_event(record.uid, now, "VerdictGiven", n, client, f"{body.verdict}, by {by}: {body.reason}")
    service.loop.bell.ring()
    return service.view(service.run(run))


@router.get("/runs/{run}/rounds/{n}/clients/{client}/logs", response_class=PlainTextResponse)
def get_logs(run: str, n: Number, client: str, service: Aggregator) -> PlainTextResponse:
    """The log of a client's newest attempt."""
    record = service.run(run)
    return PlainTextResponse(service.attempts.logs(service.last_attempt(record, n, client)))
