"""When everything in a round happened. For people: no decision depends on it, and no committed byte holds a time."""

from datetime import datetime

from pilot_proto.base import Stored
from pilot_proto.run import StageTime
from pilot_proto.training import Program


class AttemptTimes(Stored):
    """One job of a client."""

    attempt: int
    state: str
    """`Intended`, `Queued`, `Pending`, `Running`, `Unknown`, `Succeeded`, `Failed`, `Disrupted`, `Lost`, `Stopped`."""
    message: str = ""
    """What it waits for, or how it ended."""
    exit_code: int | None = None
    intended_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reported_at: datetime | None = None
    """When its trainer told that its update is in the registry."""
    stages: tuple[StageTime, ...] = ()
    """What the process that told it did, in order, up to then."""


class ClientTimes(Stored):
    """One client that was asked."""

    client: str
    task: str
    attempts: tuple[AttemptTimes, ...] = ()
    """In order."""


class RoundTimeline(Stored):
    """A round's steps, each as soon as it is done, and its clients' attempts."""

    run: str
    round: int
    program: Program
    opened_at: datetime
    quorum_at: datetime | None = None
    sealed_at: datetime | None = None
    measured_at: datetime | None = None
    planned_at: datetime | None = None
    merged_at: datetime | None = None
    published_at: datetime | None = None
    clients: tuple[ClientTimes, ...] = ()
    """Sorted by client."""
