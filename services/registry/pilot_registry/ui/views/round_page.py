"""What stands at the head of a round's page, and what follows from all of its sources."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pilot_proto.base import Stored
from pilot_proto.plan import GateCheck, GivenVerdict
from pilot_proto.timeline import RoundTimeline

from pilot_registry.round_account import RoundAccount
from pilot_registry.ui.views.meanings import Meaning, meanings
from pilot_registry.ui.views.round_clients import Part

PROGRAMS = {
    "prepare": "Nobody trains here: the base model is read, and everybody's first adapters are made.",
    "evaluate": "Nothing is trained or merged here: every client measures what the last round published.",
}
"""What is special about a round that is no training round."""


class Head(Stored):
    """The round in figures."""

    asked: int
    answered: int
    counted: int | None = None
    """None before the round is planned."""
    flagged: int = 0
    held: tuple[str, ...] = ()
    """Who waits for a verdict."""
    opened_at: datetime | None = None
    published_at: datetime | None = None
    took_s: float | None = None
    about: str = ""


def head(
    program: str,
    parts: Sequence[Part],
    told: RoundTimeline | None,
    gate: Sequence[GateCheck],
    verdicts: Mapping[str, GivenVerdict],
    *,
    holds: bool,
) -> Head:
    """`holds`: the run waits for verdicts now."""
    planned = [part for part in parts if part.counted is not None]
    flagged = sorted({client for check in gate for client in check.flagged})
    took = (told.published_at - told.opened_at).total_seconds() if told and told.published_at else None
    return Head(
        asked=len(parts),
        answered=sum(part.answered for part in parts),
        counted=sum(part.counted is True for part in planned) if planned else None,
        flagged=sum(bool(part.flags) for part in planned) or len(flagged),
        held=tuple(client for client in flagged if client not in verdicts) if holds else (),
        opened_at=told.opened_at if told else None,
        published_at=told.published_at if told else None,
        took_s=took,
        about=PROGRAMS.get(program, ""),
    )


def explained(parts: Sequence[Part]) -> tuple[Meaning, ...]:
    """The reasons and marks that stand beside these clients."""
    return meanings([*(part.reason for part in parts), *(flag for part in parts for flag in part.flags)])


def places(account: RoundAccount | None, outputs: Mapping[str, str]) -> dict[str, tuple[str, bool]]:
    """Repository to the commit that stands after the round, and whether the reader may open it. `outputs` is the
    aggregator's word, for a round that the registry has never heard of."""
    if account is not None:
        return {output.repo: (output.commit, output.visible) for output in account.outputs}
    return {repo: (commit, True) for repo, commit in outputs.items()}


def accepted_at(account: RoundAccount | None) -> dict[str, datetime]:
    """When each client's update was in the registry."""
    return {each.client: datetime.fromisoformat(each.at) for each in (account.accepted if account else ())}


def tasks_of(parts: Sequence[Part]) -> tuple[str, ...]:
    """To choose from."""
    return tuple(sorted({part.task for part in parts if part.task}))


def neighbours_of(account: RoundAccount | None, number: int, known: int) -> tuple[int | None, int | None]:
    """The rounds before and after, where there are any; `known` is the last one that the run has opened."""
    last = max(known, account.rounds[-1] if account and account.rounds else number)
    return (number - 1 if number else None), (number + 1 if number < last else None)
