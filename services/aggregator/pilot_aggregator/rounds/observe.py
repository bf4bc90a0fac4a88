"""From stored records and the registry's view to what `decide` looks at. Pure, so that a test can see what it sees."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pilot_proto.grant import RoundView
from pilot_proto.plan import GateCheck
from pilot_proto.run import ClientStatus, Progress

from pilot_aggregator.rounds.decide import AttemptSeen, ClientSeen, RoundSeen, RunSeen, given_up
from pilot_aggregator.rounds.gate import flags, marks
from pilot_aggregator.store.records import AssignmentRecord, AttemptRecord, RoundRecord, RunRecord

Heard = Mapping[str, tuple[Progress, datetime]]
"""The last progress of each client in the round, and when it came."""


def run_seen(
    run: RunRecord,
    round: RoundRecord | None,
    clients: Sequence[ClientSeen],
    up_since: datetime,
) -> RunSeen:
    """A run as `decide` sees it."""
    return RunSeen(
        phase=run.phase,
        participation=run.spec.participation,
        hold_flagged=run.spec.admission.on_flag == "hold",
        last_round=run.plan.last_round,
        published=run.published,
        through=run.through,
        up_since=up_since,
        paused=run.paused,
        cancelling=run.cancelling,
        round=_round_seen(round, tuple(clients)) if round else None,
    )


def clients_seen(
    run: RunRecord,
    round: RoundRecord,
    assignments: Sequence[AssignmentRecord],
    attempts: Sequence[AttemptRecord],
    view: RoundView,
    heard: Heard,
) -> list[ClientSeen]:
    """Every client asked in a round, sorted."""
    admitted = {update.client for update in (round.sealed.updates if round.sealed else view.admitted)}
    flagged = round_flags(run, round)
    tried: dict[str, list[AttemptRecord]] = {}
    for attempt in attempts:
        tried.setdefault(attempt.client, []).append(attempt)
    return [
        ClientSeen(
            name=assignment.client,
            task=assignment.task,
            admitted=assignment.client in admitted,
            attempts=tuple(_attempt_seen(a, heard) for a in tried.get(assignment.client, ())),
            budget_from=assignment.budget_from,
            # What the newest attempt is waiting for, or how it ended, as its backend puts it.
            reason=assignment.failure or (tried[assignment.client][-1].message if assignment.client in tried else ""),
            flagged=assignment.client in flagged,
            verdict=assignment.verdict if run.spec.admission.on_flag == "hold" else run.spec.admission.on_flag,
        )
        for assignment in assignments
    ]


def round_flags(run: RunRecord, round: RoundRecord) -> dict[str, tuple[str, ...]]:
    """Client to the marks of the gate, over all kinds of adapters."""
    found: dict[str, tuple[str, ...]] = {}
    if round.sealed is None or not round.measured:
        return found
    for measured in round.measured.values():
        for client, borne in flags(measured, run.spec.admission.max_norm_ratio).items():
            found[client] = tuple(sorted({*found.get(client, ()), *borne}))
    return found


def gate_checks(run: RunRecord, round: RoundRecord) -> tuple[GateCheck, ...]:
    """What the gate looked at, by kind; nothing before it was measured, or where a round mixes nothing."""
    if round.sealed is None or not round.measured:
        return ()
    return tuple(
        GateCheck(
            kind=kind,
            mark=mark.name,
            values=dict(mark.values),
            median=mark.median,
            limit=mark.limit,
            flagged=tuple(mark.bearers),
        )
        for kind, measured in sorted(round.measured.items())
        for mark in marks(measured, run.spec.admission.max_norm_ratio)
    )


def client_status(run: RunRecord, client: ClientSeen, sealed: bool, heard: Heard) -> ClientStatus:
    """One client for people."""
    last = client.attempts[-1] if client.attempts else None
    progress = heard[client.name][0] if client.name in heard and not client.admitted else None
    return ClientStatus(
        name=client.name,
        task=client.task,
        state=_state(run, client, sealed),
        attempt=last.number if last else 0,
        reason=client.reason.partition(":")[0] if client.reason else "",
        message=client.reason,
        progress=progress,
    )


def _state(run: RunRecord, client: ClientSeen, sealed: bool) -> str:
    if client.flagged and client.verdict is None:
        return "Held"
    if client.flagged and client.verdict == "drop":
        return "Excluded"
    if client.admitted:
        return "Answered"
    last = client.attempts[-1].state if client.attempts else None
    if sealed or given_up(client, run.spec.participation):
        return "Lost" if last in ("Lost", "Stopped", None) else "Failed"
    if last in ("Queued", "Pending", "Running", "Unknown"):
        return last
    return "Waiting"


def _round_seen(round: RoundRecord, clients: tuple[ClientSeen, ...]) -> RoundSeen:
    return RoundSeen(
        number=round.number,
        program=round.program,
        started_at=round.started_at,
        clients=clients,
        quorum_at=round.quorum_at,
        sealed=round.sealed is not None,
        measured=round.measured is not None,
        planned=round.plan is not None,
        merged=round.merged is not None,
        published=round.publication is not None,
    )


def _attempt_seen(record: AttemptRecord, heard: Heard) -> AttemptSeen:
    told = heard.get(record.client)
    return AttemptSeen(
        number=record.attempt,
        state=record.state,
        intended_at=record.intended_at,
        exit_code=record.exit_code,
        started_at=record.started_at,
        progress_at=told[1] if told else None,
    )
