"""The clients of a round: how each took part, from its ledger or, before there is one, from what is seen now."""

from collections.abc import Mapping, Sequence

from pilot_proto.base import Stored
from pilot_proto.plan import Ledger, LedgerEntry
from pilot_proto.run import ClientStatus
from pilot_proto.timeline import RoundTimeline
from pilot_reports.numbers import score
from pydantic import Field

from pilot_registry.round_account import RoundAccount
from pilot_registry.ui.views.tones import tone

COUNTED, LEFT_OUT = "counted", "left out"
ANSWERED = frozenset({"Answered", "Held", "Excluded"})


class Part(Stored):
    """One client in the round."""

    client: str
    task: str
    state: str
    tone: str
    asked: bool = True
    answered: bool
    counted: bool | None = None
    """None before the round is planned."""
    reason: str = ""
    message: str = ""
    num_examples: int | None = None
    change_norm: dict[str, float] = Field(default_factory=dict)
    shares: dict[str, float] = Field(default_factory=dict)
    flags: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    """What it began without a predecessor; told only where others had one."""
    measured: dict[str, str] = Field(default_factory=dict)
    """By point, such as `merged 1`."""


class Wanted(Stored):
    """Which clients to show; empty means any."""

    task: str = ""
    outcome: str = ""

    def takes(self, part: Part) -> bool:
        if self.task and part.task != self.task:
            return False
        return {
            "counted": part.counted is True,
            "left-out": part.counted is False,
            "flagged": bool(part.flags),
        }.get(self.outcome, True)


def parts_of(
    ledger: Ledger | None,
    seen: Sequence[ClientStatus],
    account: RoundAccount | None,
    measured: Mapping[str, Sequence[Mapping[str, object]]],
    told: RoundTimeline | None = None,
) -> tuple[Part, ...]:
    """Everybody, sorted by client. `seen` is what the aggregator says of a round at work; without ledger and `seen`
    the registry's own account tells who may take part and who has answered. `told` has how attempts ended."""
    if ledger is not None:
        old, words = any(not entry.started for entry in ledger.entries if entry.counted), last_words(told)
        return tuple(
            _entry(e, measured.get(e.client, ()), "" if e.counted else words.get(e.client, ""), tells=old)
            for e in ledger.entries
        )
    if seen:
        return tuple(_status(client) for client in sorted(seen, key=lambda c: c.name))
    answered = {each.client for each in account.accepted} if account else set()
    return tuple(
        Part(
            client=each.client,
            task=each.task,
            state="Answered" if each.client in answered else "asked",
            tone=tone("Answered") if each.client in answered else "",
            answered=each.client in answered,
        )
        for each in (account.granted if account else ())
    )


def last_words(told: RoundTimeline | None) -> dict[str, str]:
    """How the last attempt of each client ended, in its own words."""
    times = told.clients if told else ()
    return {each.client: each.attempts[-1].message for each in times if each.attempts}


def columns_of(parts: Sequence[Part]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The kinds of adapters and the points at which something was measured, as far as these clients have any."""
    kinds = {kind for part in parts for kind in (*part.change_norm, *part.shares)}
    points = dict.fromkeys(point for part in parts for point in part.measured)
    return tuple(sorted(kinds)), tuple(points)


def page_of(
    parts: Sequence[Part], wanted: Wanted, limit: int, after: str | None
) -> tuple[tuple[Part, ...], str | None, int]:
    """Those behind `after` that are wanted, the last name shown if there are more, and how many match in all."""
    matching = [part for part in parts if wanted.takes(part)]
    left = [part for part in matching if after is None or part.client > after]
    shown = tuple(left[:limit])
    return shown, shown[-1].client if len(left) > limit else None, len(matching)


def _entry(entry: LedgerEntry, told: Sequence[Mapping[str, object]], message: str, *, tells: bool) -> Part:
    state = COUNTED if entry.counted else LEFT_OUT
    return Part(
        client=entry.client,
        task=entry.task,
        state=state,
        tone=tone(state),
        asked=entry.asked,
        answered=entry.answered,
        counted=entry.counted,
        reason=entry.reason,
        # Its code stands there as the reason already.
        message=message.removeprefix(f"{entry.reason}: "),
        num_examples=entry.num_examples,
        change_norm={**entry.change_norm},
        shares={**entry.shares},
        flags=entry.flags,
        started=entry.started if tells else (),
        measured={f"{each.get('point')} {each.get('round')}": _figure(each) for each in told},
    )


def _figure(told: Mapping[str, object]) -> str:
    value = told.get("value")
    return score(float(value), str(told.get("metric", ""))) if isinstance(value, int | float) else ""


def _status(client: ClientStatus) -> Part:
    answered = client.state in ANSWERED
    return Part(
        client=client.name,
        task=client.task,
        state=client.state,
        tone=tone(client.state),
        answered=answered,
        # How the job of an answer ended is no reason for anything.
        reason="" if answered else client.reason,
        message="" if answered else client.message,
    )
