"""What a deployment is told when a run ends: the body of one signed POST, in the form of Standard Webhooks."""

from datetime import datetime
from typing import Literal

from pilot_proto.base import Stored
from pilot_proto.run import Condition, Phase


class EndedRun(Stored):
    run: str
    uid: str
    phase: Phase
    """`Succeeded`, `Failed` or `Cancelled`."""
    conditions: tuple[Condition, ...] = ()
    """Why; a run that lost somebody is `Succeeded` and `Partial`."""
    published: int
    """The last published round; -1 before round 0."""
    report: str
    """The address of the run's report, for somebody with a key."""


class RunEnded(Stored):
    """The same run and phase always come under the same `webhook-id`, so that a receiver can drop what it has."""

    type: Literal["run.ended"] = "run.ended"
    timestamp: datetime
    """When the run ended."""
    data: EndedRun
