"""A client on one line: what the federation says of it, joined with what the index knows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pilot_proto.base import Stored
from pilot_proto.federation import Client

from pilot_registry.clients import Totals

State = Literal["enabled", "disabled", "left", "unknown"]
TONES: dict[State, str] = {"enabled": "good", "disabled": "held", "left": "warning", "unknown": ""}


class Figures(Stored):
    """What only an operator sees of a single client."""

    refused: int
    sent: int
    """Bytes of its accepted updates."""
    answered_at: str | None = None
    data: str = ""
    """The folder of its data; empty for one that has left."""


class ClientLine(Stored):
    name: str
    task: str
    state: State
    """`left`: runs have asked it, and the federation does not name it any more. `unknown`: nobody could be asked."""
    tone: str
    runs: int = 0
    asked: int = 0
    answered: int = 0
    figures: Figures | None = None
    """None for who may not see them."""


def first_names(
    members: Mapping[str, Client] | None, totals: Iterable[Totals], after: str, task: str | None, most: int
) -> list[str]:
    """The first names behind one, of clients that the federation names or that runs have asked; at most `most`."""
    named = {name for name, client in (members or {}).items() if name > after and task in (None, client.task)}
    return sorted(named | {each.client for each in totals})[:most]


def client_line(
    name: str, members: Mapping[str, Client] | None, totals: Totals | None, refused: int | None
) -> ClientLine:
    """`members`: the federation's, None where nobody could be asked. `refused`: None for who may not see figures."""
    member = members.get(name) if members is not None else None
    state = _state(members, member)
    return ClientLine(
        name=name,
        task=member.task if member else totals.task if totals else "",
        state=state,
        tone=TONES[state],
        runs=totals.runs if totals else 0,
        asked=totals.asked if totals else 0,
        answered=totals.answered if totals else 0,
        figures=None if refused is None else _figures(member, totals, refused),
    )


def tasks_of(members: Mapping[str, Client] | None, lines: Sequence[ClientLine]) -> tuple[str, ...]:
    """What can be filtered by."""
    return tuple(sorted({client.task for client in (members or {}).values()} | {line.task for line in lines}))


def _state(members: Mapping[str, Client] | None, member: Client | None) -> State:
    if members is None:
        return "unknown"
    if member is None:
        return "left"
    return "disabled" if member.disabled else "enabled"


def _figures(member: Client | None, totals: Totals | None, refused: int) -> Figures:
    return Figures(
        refused=refused,
        sent=totals.sent if totals else 0,
        answered_at=totals.answered_at if totals else None,
        data=member.data if member else "",
    )
