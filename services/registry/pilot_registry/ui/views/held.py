"""Updates that wait for a verdict: what the gate saw of each, and its peers."""

from collections.abc import Sequence

from pilot_proto.base import Stored
from pilot_proto.plan import GateCheck, RoundDocument
from pilot_proto.run import RunView

from pilot_registry.ui.views.gate_plots import Strip, strip

WAITING = "AwaitingVerdict"


class Seen(Stored):
    """One mark that an update bears."""

    kind: str
    mark: str
    value: float
    limit: float
    times: float
    """How many times the median."""


class HeldUpdate(Stored):
    """One update."""

    client: str
    task: str
    seen: tuple[Seen, ...]


class HeldRound(Stored):
    """A round that waits."""

    run: str
    round: int
    ratio: float
    """`admission.max_norm_ratio`."""
    updates: tuple[HeldUpdate, ...]
    strips: tuple[Strip, ...]
    """Of the checks in which somebody stands out."""


def awaiting(views: Sequence[RunView]) -> list[RunView]:
    """The runs that wait for a person's verdict."""
    return [view for view in views if any(condition.type == WAITING for condition in view.status.conditions)]


def held_round(view: RunView, document: RoundDocument, tasks: dict[str, str]) -> HeldRound | None:
    """What waits in a run's round at work; None once everything is decided."""
    fired = [check for check in document.gate if check.flagged]
    decided = {given.client for given in document.verdicts}
    clients = sorted({client for check in fired for client in check.flagged} - decided)
    if not clients:
        return None
    return HeldRound(
        run=document.run,
        round=document.round,
        ratio=view.spec.admission.max_norm_ratio,
        updates=tuple(
            HeldUpdate(client=client, task=tasks.get(client, ""), seen=_seen(client, fired)) for client in clients
        ),
        strips=tuple(strip(check) for check in fired),
    )


def _seen(client: str, fired: Sequence[GateCheck]) -> tuple[Seen, ...]:
    return tuple(
        Seen(
            kind=check.kind,
            mark=check.mark,
            value=check.values[client],
            limit=check.limit,
            times=check.values[client] / check.median if check.median else 0.0,
        )
        for check in fired
        if client in check.flagged and check.limit is not None
    )
