"""Updates that gates marked in the rounds that were published last, from their ledgers."""

from pilot_proto.base import Stored
from pilot_proto.plan import Ledger

from pilot_registry import overview
from pilot_registry.context import Registry

ROUNDS = 20


class Flagged(Stored):
    """One marked update of a published round."""

    run: str
    round: int
    at: str
    """When the round was published."""
    client: str
    task: str
    flags: tuple[str, ...]
    counted: bool
    reason: str = ""


def flagged_lately(registry: Registry, rounds: int = ROUNDS) -> tuple[Flagged, ...]:
    """The newest rounds first."""
    found: list[Flagged] = []
    for place in overview.last_ledgers(registry, rounds):
        ledger = registry.documents.read(Ledger, place.ledger)
        for entry in ledger.entries if ledger else ():
            if entry.flags:
                found.append(
                    Flagged(
                        run=place.run,
                        round=place.round,
                        at=place.at,
                        client=entry.client,
                        task=entry.task,
                        flags=entry.flags,
                        counted=entry.counted,
                        reason=entry.reason,
                    )
                )
    return tuple(found)
