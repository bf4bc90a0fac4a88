"""The port to whatever runs a client's attempt: a process on this machine, a Kubernetes Job, later another site."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from prometheus_client.core import Metric

Rendered = dict[str, Any]
"""A job as its backend understands it: plain JSON values, stored before it is created and never rendered again."""

JobPhase = Literal["Queued", "Pending", "Running", "Succeeded", "Failed", "Disrupted", "Unknown", "Lost", "Cancelled"]
"""`Queued` waits for its turn and may do so for ever; `Pending` may start and does not yet. `Unknown` is nobody's
failure: whoever runs the job cannot be asked now. `Cancelled`: somebody else deleted it."""


@dataclass(frozen=True)
class JobRequest:
    """What the orchestrator wants to run, before a backend renders it."""

    name: str
    """Unique, a DNS label of at most 52 characters."""
    client: str
    environment: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    deadline_s: int = 86400
    """Once started, it is ended after so long, whatever becomes of the orchestrator."""
    command: tuple[str, ...] = ()
    """Another program than a trainer's, with what the client's trainers have; it computes nothing and needs no
    accelerator."""


@dataclass(frozen=True)
class StatePlace:
    """Where a job's client keeps its private state, for people."""

    namespace: str = ""
    claim: str = ""
    path: str = ""
    """Where `pod` has it."""
    pod: Rendered = field(default_factory=dict)
    """One that mounts it for reading, and waits."""


@dataclass(frozen=True)
class JobState:
    """What a backend sees of a job."""

    phase: JobPhase
    exit_code: int | None = None
    message: str = ""
    """`REASON: sentence`, where there is something to say; a trainer's last words have the same form."""
    started_at: datetime | None = None
    """When its process began; of a pending job, when it left the queue."""
    ended_at: datetime | None = None


class JobBackend(Protocol):
    """Verbs over plain values. All are idempotent, and none waits for a job.

    Every verb that changes something raises OSError for: not now, try again.
    """

    calls_at_once: int
    """How many calls from as many threads it can make good use of."""

    def render(self, request: JobRequest) -> Rendered:
        """The job in the backend's own terms. Pure.

        Raises:
            JobRejected: nothing can be made of the request.
        """

    def state_place(self, job: Rendered) -> StatePlace:
        """Where the private state is that a rendered job works on. Pure."""

    def create(self, name: str, job: Rendered) -> None:
        """Make the job exist. The same again does nothing.

        Raises:
            JobRejected: as it is, it can never exist; the same again would end the same way.
            JobConflict: something else has that name.
        """

    def try_out(self, name: str, job: Rendered) -> str:
        """Why the job could not be made or started, as far as that is known without making it; empty if it could."""

    def observe(self, names: list[str]) -> dict[str, JobState]:
        """The state of those jobs that exist."""

    def delete(self, name: str) -> None:
        """Stop the job if it runs, and forget that it may start."""

    def settle(self, name: str) -> None:
        """How the job ended has been stored: it may be forgotten, and its log in time."""

    def end_run(self, run_uid: str, *, cancelled: bool) -> None:
        """The run has ended: nothing of it needs to run on. Of one that was cancelled, nothing needs to be kept."""

    def logs(self, name: str) -> str:
        """What the job printed, as far as it is kept."""

    def tell(self, run_uid: str, kind: str, reason: str, message: str) -> None:
        """Something happened to a run, for who looks where its jobs are. It may get lost."""

    def figures(self) -> Iterable[Metric]:
        """What it cost and how it went, for /metrics."""

    def check(self) -> None:
        """Raise OSError if jobs can be neither made nor observed now."""

    def close(self) -> None:
        """Let go of connections and helpers. Jobs go on."""


class JobRejected(Exception):
    """The job cannot exist as it is; says why, as `REASON: sentence`."""


class JobConflict(JobRejected):
    """A job of that name exists and is not the one we stored."""
