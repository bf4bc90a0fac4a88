"""What to do next for a run: a descending list of questions, each of which ends with an answer. Pure.

`decide` sees values and a clock reading, and returns one `Decision`. The reconciler carries it out and asks again;
every decision is safe to carry out twice.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from pilot_proto.run import Participation, Phase
from pilot_proto.training import Program

from pilot_aggregator.rounds.participation import missing

FATAL_EXITS = frozenset({64, 65, 78})
"""Bad assignment, bad data, bad configuration: the same again would end the same way."""

AttemptState = Literal[
    "Intended", "Queued", "Pending", "Running", "Unknown", "Succeeded", "Failed", "Disrupted", "Lost", "Stopped"
]
ACTIVE: frozenset[AttemptState] = frozenset({"Intended", "Queued", "Pending", "Running", "Unknown"})
STARTING: frozenset[AttemptState] = frozenset({"Intended", "Pending"})
"""Nothing keeps these from starting but what is wrong with them. Who waits in a queue, or cannot be seen, has no
deadline of its own; the round has one."""


@dataclass(frozen=True)
class AttemptSeen:
    """One job of a client."""

    number: int
    state: AttemptState
    intended_at: datetime
    exit_code: int | None = None
    started_at: datetime | None = None
    """Of a pending attempt: when it left the queue."""
    progress_at: datetime | None = None


@dataclass(frozen=True)
class ClientSeen:
    """One client in the round at work."""

    name: str
    task: str
    admitted: bool = False
    attempts: tuple[AttemptSeen, ...] = ()
    budget_from: int = 0
    """Attempts up to this number are forgiven: a person asked for another try."""
    reason: str = ""
    """Why it failed, where it said so or the registry did."""
    flagged: bool = False
    verdict: Literal["count", "drop"] | None = None


@dataclass(frozen=True)
class RoundSeen:
    """The round at work."""

    number: int
    program: Program
    started_at: datetime
    clients: tuple[ClientSeen, ...]
    quorum_at: datetime | None = None
    sealed: bool = False
    measured: bool = False
    planned: bool = False
    merged: bool = False
    published: bool = False


@dataclass(frozen=True)
class RunSeen:
    """Everything a decision depends on."""

    phase: Phase
    participation: Participation
    hold_flagged: bool
    last_round: int
    published: int
    through: int
    up_since: datetime
    """When this aggregator started: after a restart, clients get at least the grace to be heard."""
    paused: bool = False
    cancelling: bool = False
    round: RoundSeen | None = None


@dataclass(frozen=True)
class OpenRound:
    """Store assignments and grants of a round."""

    number: int


@dataclass(frozen=True)
class Launch:
    """Start an attempt for each of these clients."""

    clients: tuple[str, ...]


@dataclass(frozen=True)
class Stop:
    """These attempts are lost; stop what may be left of them."""

    clients: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class NoteQuorum:
    """The quorum was reached just now."""


@dataclass(frozen=True)
class Seal:
    """Freeze the round's inputs."""


@dataclass(frozen=True)
class Measure:
    """Fetch the sealed inputs, and measure distances and changes."""


@dataclass(frozen=True)
class Plan:
    """Store plan and ledger."""


@dataclass(frozen=True)
class Merge:
    """Carry out the stored plan."""


@dataclass(frozen=True)
class Publish:
    """Commit the round."""


@dataclass(frozen=True)
class Finish:
    """The run is done."""


@dataclass(frozen=True)
class Fail:
    """The run cannot go on."""

    reason: str
    message: str


@dataclass(frozen=True)
class Cancel:
    """Revoke grants, delete jobs, end."""


@dataclass(frozen=True)
class Wait:
    """Nothing to do now."""

    condition: Literal["", "Paused", "AwaitingTrigger", "AwaitingVerdict"] = ""
    clients: tuple[str, ...] = field(default=())


Decision = (
    OpenRound | Launch | Stop | NoteQuorum | Seal | Measure | Plan | Merge | Publish | Finish | Fail | Cancel | Wait
)


def decide(seen: RunSeen, now: datetime) -> Decision:
    """The next step of a run."""
    if seen.phase in ("Succeeded", "Failed", "Cancelled"):
        return Wait()
    at_work = seen.round is not None and not seen.round.published
    if seen.cancelling and not (at_work and seen.round and seen.round.merged):
        # A merge that is done may already have been published by a predecessor that died: cancel loses to it.
        return Cancel()
    if seen.round is None or seen.round.published:
        return _between_rounds(seen)
    if seen.round.sealed:
        return _after_seal(seen, seen.round)
    return _collecting(seen, seen.round, now)


def _between_rounds(seen: RunSeen) -> Decision:
    following = seen.published + 1
    if following > seen.last_round:
        return Finish()
    if seen.paused:
        return Wait("Paused")
    if following > seen.through:
        return Wait("AwaitingTrigger")
    return OpenRound(following)


def _after_seal(seen: RunSeen, round: RoundSeen) -> Decision:
    if round.merged:
        return Publish()
    if round.planned:
        return Merge()
    if not round.measured:
        return Measure()
    undecided = tuple(c.name for c in round.clients if c.flagged and c.verdict is None)
    if seen.hold_flagged and undecided:
        return Wait("AwaitingVerdict", undecided)
    dropped = {c.name for c in round.clients if c.flagged and c.verdict == "drop"}
    counted = [c.name for c in round.clients if c.admitted and c.name not in dropped]
    gap = missing(seen.participation, _tasks(round), counted) if dropped else None
    return Fail("QuorumMissed", gap) if gap else Plan()


def _collecting(seen: RunSeen, round: RoundSeen, now: datetime) -> Decision:
    policy = seen.participation
    answered = [c.name for c in round.clients if c.admitted]
    pending = [c for c in round.clients if not c.admitted and not given_up(c, policy)]
    if not pending or len(answered) == len(round.clients):
        gap = missing(policy, _tasks(round), answered)
        return _missed(round, gap) if gap else Seal()
    hopeless = missing(policy, _tasks(round), answered + [c.name for c in pending])
    if hopeless and round.program != "evaluate":
        # What an evaluation lost is missing, but those still at work are heard.
        return _missed(round, hopeless)
    if (overdue := _overdue(pending, policy, seen.up_since, now)) is not None:
        return overdue
    if idle := tuple(c.name for c in pending if not _active(c)):
        return Launch(idle)
    return _waiting(seen, round, answered, now)


def _waiting(seen: RunSeen, round: RoundSeen, answered: list[str], now: datetime) -> Decision:
    policy = seen.participation
    gap = missing(policy, _tasks(round), answered)
    grace = timedelta(seconds=policy.grace_s)
    if gap is None and round.quorum_at is None:
        return NoteQuorum()
    if gap is None and round.quorum_at and now >= max(round.quorum_at, seen.up_since) + grace:
        return Seal()
    deadline = max(round.started_at + timedelta(seconds=policy.deadline_s), seen.up_since + grace)
    if now >= deadline:
        return _missed(round, f"the round's deadline passed, and {gap}") if gap else Seal()
    return Wait()


def given_up(client: ClientSeen, policy: Participation) -> bool:
    """Whether a client gets no further attempt in this round."""
    spent = [a for a in client.attempts if a.number > client.budget_from]
    if not spent or spent[-1].state in ACTIVE:
        return False
    if spent[-1].state == "Failed" and spent[-1].exit_code in FATAL_EXITS:
        return True
    disrupted = sum(a.state == "Disrupted" for a in spent)
    return len(spent) - disrupted >= policy.attempts or disrupted > policy.evictions


def _overdue(clients: list[ClientSeen], policy: Participation, up_since: datetime, now: datetime) -> Stop | None:
    late = [
        c.name
        for c in clients
        if (a := _active(c))
        and a.state in STARTING
        and _since(max(a.started_at or a.intended_at, up_since), now) > policy.start_deadline_s
    ]
    if late:
        return Stop(tuple(late), "StartDeadline")
    stalled = [
        c.name
        for c in clients
        if (a := _active(c)) and a.state == "Running" and _since(max(_last_sign(a), up_since), now) > policy.stall_s
    ]
    return Stop(tuple(stalled), "Stalled") if stalled else None


def _last_sign(attempt: AttemptSeen) -> datetime:
    """When it was last known to live. Progress older than its start is an earlier attempt's."""
    return max(moment for moment in (attempt.progress_at, attempt.started_at, attempt.intended_at) if moment)


def _active(client: ClientSeen) -> AttemptSeen | None:
    last = client.attempts[-1] if client.attempts else None
    return last if last and last.state in ACTIVE else None


def _since(then: datetime, now: datetime) -> float:
    return (now - then).total_seconds()


def _tasks(round: RoundSeen) -> dict[str, str]:
    return {client.name: client.task for client in round.clients}


def _missed(round: RoundSeen, gap: str | None) -> Decision:
    if round.program == "evaluate":
        # An evaluation that fails is missing, never a failed run.
        return Seal()
    lost = ", ".join(f"{c.name} ({c.reason})" if c.reason else c.name for c in round.clients if not c.admitted)
    return Fail("QuorumMissed", f"round {round.number} has no quorum: {gap}; without an update: {lost}")
