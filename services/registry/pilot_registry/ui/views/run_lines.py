"""A run on one line of a list."""

from datetime import datetime

from pilot_proto.base import Stored
from pilot_proto.run import RunView
from pydantic import Field

from pilot_registry.ui.views.tones import tone


class RunLine(Stored):
    name: str
    phase: str
    tone: str
    conditions: tuple[str, ...] = ()
    reason: str = ""
    """The one thing that a reader should know."""
    method: str = ""
    model: str = ""
    tasks: dict[str, int] = Field(default_factory=dict)
    round: int = 0
    total_rounds: int = 0
    created_at: datetime | None = None
    ended_at: datetime | None = None


def run_line(view: RunView) -> RunLine:
    """From the aggregator's view."""
    status = view.status
    reasons = [f"{c.type}: {c.message or c.reason}" for c in status.conditions]
    return RunLine(
        name=view.metadata["name"],
        phase=status.phase,
        tone=tone(status.phase),
        conditions=tuple(condition.type for condition in status.conditions),
        reason=reasons[0] if reasons else "",
        method=view.spec.method,
        model=view.spec.model,
        tasks=status.tasks,
        round=min(status.round, status.total_rounds),
        total_rounds=status.total_rounds,
        created_at=status.created_at,
        ended_at=status.ended_at,
    )
