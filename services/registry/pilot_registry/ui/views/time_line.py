"""A round in time: what the services did, and below it every client's attempts. Places are per cent of the line."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pilot_proto.base import Stored
from pilot_proto.timeline import AttemptTimes, ClientTimes, RoundTimeline
from pilot_reports.tables import MISSING, Row, Table, row

from pilot_registry.ui.views.tones import tone
from pilot_registry.ui.words import plain, span

STEPS = (
    ("collecting", "opened_at", "sealed_at"),
    ("measuring", "sealed_at", "measured_at"),
    ("deciding", "measured_at", "planned_at"),
    ("merging", "planned_at", "merged_at"),
    ("publishing", "merged_at", "published_at"),
)
MARKS = (("quorum", "quorum_at"), ("sealed", "sealed_at"))
NICE_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)
MOST_TICKS = 7
LONGEST_KIND = 20
THINNEST = 0.2
"""Of the line, so that nothing is too short to be seen."""
LOOKS = {
    "wait": ("waiting", "starting", "collecting"),
    "read": ("loading", "fetching", "preparing", "measuring"),
    "train": ("training", "running", "merging"),
    "score": ("evaluating", "deciding"),
    "send": ("saving", "uploading", "publishing"),
    "lost": ("failed",),
}
OTHER = "other"
LOST = frozenset({"Failed", "Lost", "Disrupted"})


class Kind(Stored):
    """A sort of bar."""

    name: str
    look: str
    """How it is drawn: several kinds are drawn alike."""


class Bar(Stored):
    """Something that took its time."""

    kind: Kind
    x: float
    width: float
    words: str


class Tick(Stored):
    """A moment."""

    x: float
    words: str


class Lane(Stored):
    """One client."""

    client: str
    state: str
    """Of its newest attempt; empty before there is one."""
    tone: str
    bars: tuple[Bar, ...]
    accepted: Tick | None = None
    """When its update was in the registry."""
    words: str
    """The lane in one sentence."""
    took_s: float | None = None


class TimeLine(Stored):
    """A round."""

    begin: datetime
    seconds: float
    """From its beginning to its end, or to now."""
    ticks: tuple[Tick, ...]
    steps: tuple[Bar, ...]
    marks: tuple[Tick, ...]
    lanes: tuple[Lane, ...]
    legend: tuple[Kind, ...]
    """What there is to see: names that are drawn alike stand together."""
    table: Table
    """The same in numbers."""


class Scale:
    """From moments to places on the line."""

    def __init__(self, begin: datetime, end: datetime) -> None:
        self.begin, self.end = begin, max(end, begin + timedelta(seconds=1))
        self.seconds = (self.end - begin).total_seconds()

    def x(self, moment: datetime) -> float:
        return round(min(100.0, max(0.0, 100 * (moment - self.begin).total_seconds() / self.seconds)), 2)

    def bar(self, kind: str, begin: datetime, end: datetime) -> Bar:
        """A bar of one kind; a stage's name is a trainer's word, so it is cleaned."""
        at, name = min(self.x(begin), 100 - THINNEST), plain(kind)[:LONGEST_KIND]
        look = next((look for look, names in LOOKS.items() if name in names), OTHER)
        width = round(max(THINNEST, self.x(end) - at), 2)
        return Bar(
            kind=Kind(name=name, look=look), x=at, width=width, words=f"{name} {span((end - begin).total_seconds())}"
        )


def time_line(told: RoundTimeline, accepted: Mapping[str, datetime], clients: Sequence[str], end: datetime) -> TimeLine:
    """Of the clients named, in this order. `accepted` is when an update was in the registry, `end` is now or, of a
    round that is over, when it ended."""
    times = {client.client: client for client in told.clients}
    scale = Scale(told.opened_at, end)
    shown = [times[name] for name in clients if name in times]
    lanes = tuple(_lane(client, accepted.get(client.client), scale, told.sealed_at) for client in shown)
    steps = tuple(_steps(told, scale))
    marks = [Tick(x=scale.x(at), words=f"{word} {_after(scale, at)}") for word, at in _moments(told)]
    return TimeLine(
        begin=scale.begin,
        seconds=scale.seconds,
        ticks=tuple(ticks(scale.seconds)),
        steps=steps,
        marks=tuple(marks),
        lanes=lanes,
        legend=_legend(steps, lanes),
        table=_table(shown, accepted, scale),
    )


def ticks(seconds: float) -> Iterable[Tick]:
    """Round times along a line of so many seconds."""
    step = next((nice for nice in NICE_S if seconds / nice <= MOST_TICKS), NICE_S[-1] * (1 + seconds // 604800))
    at = step
    while at < 0.97 * seconds:
        yield Tick(x=round(100 * at / seconds, 2), words=span(at))
        at += step


def _moments(told: RoundTimeline) -> list[tuple[str, datetime]]:
    return [(word, at) for word, name in MARKS if (at := getattr(told, name)) is not None]


def _steps(told: RoundTimeline, scale: Scale) -> Iterable[Bar]:
    for kind, first, last in STEPS:
        begin, end = getattr(told, first), getattr(told, last)
        if begin is not None and (end is not None or told.published_at is None):
            yield scale.bar(kind, begin, end or scale.end)
        if end is None and told.published_at is None:
            return


def _lane(client: ClientTimes, accepted: datetime | None, scale: Scale, sealed: datetime | None) -> Lane:
    newest = client.attempts[-1] if client.attempts else None
    bars = [bar for attempt in client.attempts for bar in _bars(attempt, scale)]
    if newest is None and accepted is not None:
        # All that the registry knows without the aggregator.
        bars = [scale.bar("running", scale.begin, accepted)]
    begun = client.attempts[0].intended_at if client.attempts else scale.begin
    ended = (newest.ended_at if newest else None) or accepted
    came = Tick(x=scale.x(accepted), words=f"accepted {_after(scale, accepted)}") if accepted else None
    words = [bar.words for bar in bars] + ([came.words] if came else [])
    return Lane(
        client=client.client,
        state=newest.state if newest else "",
        tone=tone(newest.state) if newest else "",
        bars=tuple(bars),
        accepted=came,
        words=", ".join(words) or "nothing yet",
        took_s=(ended - begun).total_seconds() if ended else None,
    )


def _bars(attempt: AttemptTimes, scale: Scale) -> Iterable[Bar]:
    end = attempt.ended_at or attempt.reported_at or scale.end
    if attempt.started_at is None:
        yield scale.bar("failed" if attempt.state in LOST else "waiting", attempt.intended_at, end)
        return
    yield scale.bar("waiting", attempt.intended_at, attempt.started_at)
    if not attempt.stages:
        yield scale.bar("failed" if attempt.state in LOST else "running", attempt.started_at, end)
        return
    at = begin = _begin_of_stages(attempt, attempt.started_at)
    if begin > attempt.started_at:
        yield scale.bar("starting", attempt.started_at, begin)
    for stage in attempt.stages:
        # A trainer's word is only its word: whatever it says stays within its attempt.
        until = min(end, at + timedelta(seconds=min(stage.seconds, scale.seconds)))
        yield scale.bar(stage.stage, at, max(at, until))
        at = max(at, until)


def _begin_of_stages(attempt: AttemptTimes, started: datetime) -> datetime:
    """They ended with the report; what lies between start and first stage is the start of the process itself."""
    spent = sum(stage.seconds for stage in attempt.stages)
    if attempt.reported_at is None or spent > (attempt.reported_at - started).total_seconds():
        return started
    return attempt.reported_at - timedelta(seconds=spent)


def _legend(steps: Sequence[Bar], lanes: Sequence[Lane]) -> tuple[Kind, ...]:
    """One line for what is drawn alike."""
    bars = [*steps, *(bar for lane in lanes for bar in lane.bars)]
    names = {bar.kind.name: bar.kind.look for bar in bars}
    alike = {look: [name for name, drawn in names.items() if drawn == look] for look in (*LOOKS, OTHER)}
    return tuple(Kind(name=", ".join(found), look=look) for look, found in alike.items() if found)


def _table(shown: Sequence[ClientTimes], accepted: Mapping[str, datetime], scale: Scale) -> Table:
    stages = tuple(dict.fromkeys(s.stage for client in shown for attempt in client.attempts for s in attempt.stages))
    rows: list[Row] = []
    for client in shown:
        came = accepted.get(client.client)
        for attempt in client.attempts:
            rows.append(_row(client.client, attempt, stages, came if attempt is client.attempts[-1] else None, scale))
        if not client.attempts:
            rows.append(row(client.client, MISSING, MISSING, *(MISSING for _ in stages), MISSING, _after(scale, came)))
    return Table(
        caption="The clients' attempts in time",
        columns=("client", "attempt", "waited", *stages, "whole", "accepted after"),
        rows=tuple(rows),
        text_columns=2,
        note="Waited: from when the job was intended until its process ran. The stages are what the trainer told with "
        "its report; an attempt that failed, or whose report was lost, has none. Accepted: its update is in the "
        "registry, so long after the round began.",
    )


def _row(client: str, attempt: AttemptTimes, stages: Sequence[str], came: datetime | None, scale: Scale) -> Row:
    spent = {name: sum(s.seconds for s in attempt.stages if s.stage == name) for name in stages}
    told = {stage.stage for stage in attempt.stages}
    exits = "" if attempt.exit_code in (None, 0) else f", exit {attempt.exit_code}"
    return row(
        client,
        f"{attempt.attempt}: {attempt.state}{exits}",
        _between(attempt.intended_at, attempt.started_at),
        *(span(spent[name]) if name in told else MISSING for name in stages),
        _between(attempt.intended_at, attempt.ended_at),
        _after(scale, came),
    )


def _between(begin: datetime, end: datetime | None) -> str:
    return span((end - begin).total_seconds()) if end else MISSING


def _after(scale: Scale, moment: datetime | None) -> str:
    return span((moment - scale.begin).total_seconds()) if moment else MISSING
