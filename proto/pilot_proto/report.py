"""What came of a run: every client's metric before, after each merge, and on its own model after each local update."""

from pilot_proto.base import Stored


class ClientReport(Stored):
    client: str
    task: str
    metric: str
    before: float | None
    """The base model, untouched; with `start_from`, what the source's round published."""
    merged: tuple[float | None, ...]
    """By round: what the round published, with the client's private state of that round."""
    local: tuple[float | None, ...]
    """By round: the client's own model after its update, before the merge."""
    scores: dict[str, tuple[float, ...]] | None = None
    """Per sample, under `before` and `merged` (of the last round); only on request."""


class TaskReport(Stored):
    task: str
    metric: str
    before: float | None
    merged: float | None
    local: float | None
    """Means over the task's clients after the last round."""
    gain: float | None = None
    """Of `merged` over `before`, over the samples that both measured."""
    interval: tuple[float, float] | None = None
    """Its paired bootstrap 95 % interval."""


class RunReport(Stored):
    run: str
    method: str
    rounds: int
    clients: tuple[ClientReport, ...]
    tasks: tuple[TaskReport, ...]
    published: dict[str, str]
    """Repository to the commit that stands after the last published round."""
    digests: dict[str, str]
    """Repository to the digest of its adapter's file."""
