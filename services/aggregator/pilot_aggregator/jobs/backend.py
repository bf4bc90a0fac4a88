"""The port to whatever runs a client's attempt: a process on this machine, a Kubernetes Job, later another site."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

Rendered = dict[str, Any]
"""A job as its backend understands it: plain JSON values, stored before it is created and never rendered again."""

JobPhase = Literal["Queued", "Running", "Succeeded", "Failed", "Disrupted", "Lost"]


@dataclass(frozen=True)
class JobRequest:
    """What the orchestrator wants to run, before a backend renders it."""

    name: str
    """Unique, a DNS label of at most 52 characters."""
    client: str
    environment: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobState:
    """What a backend sees of a job."""

    phase: JobPhase
    exit_code: int | None = None
    message: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None


class JobBackend(Protocol):
    """Six verbs over plain values. All are idempotent, and none waits for a job."""

    def render(self, request: JobRequest) -> Rendered:
        """The job in the backend's own terms. Pure."""

    def create(self, name: str, job: Rendered) -> None:
        """Make the job exist. The same again does nothing.

        Raises:
            JobConflict: something else has that name.
            OSError: not now; try again.
        """

    def observe(self, names: list[str]) -> dict[str, JobState]:
        """The state of those jobs that exist."""

    def delete(self, name: str) -> None:
        """Stop the job if it runs, and forget that it may start."""

    def logs(self, name: str) -> str:
        """What the job printed, as far as it is kept."""

    def close(self) -> None:
        """Let go of connections and helpers. Jobs go on."""


class JobConflict(Exception):
    """A job of that name exists and is not the one we stored."""
