"""What the gate compared, as strips: a dot for each update, a line where the limit is. Places are per cent."""

from collections.abc import Sequence
from math import log10

from pilot_proto.base import Stored
from pilot_proto.plan import GateCheck
from pilot_reports.tables import MISSING, Cell, Table, row

from pilot_registry.ui.words import number

FAR = 30.0
"""From this ratio of the largest to the median on, a linear strip would press all peers into one dot."""
LEVELS = 5
FIRST, STEP = 10, 12
CLOSE = 14.0
"""Nearer than this, two labels below the strip would touch."""
RIGHT = 82.0
"""Beyond this there is no room for a name on a dot's right."""
NARROW = 0.3
LISTED = 20
"""Lines of the table."""
TITLES = {
    "norm_outlier": "how far each update is from what its client was given",
    "suspicious": "mean distance of each update to the others of its task",
}


class Dot(Stored):
    """One update."""

    client: str
    x: float
    y: int
    flagged: bool
    left: bool
    """Its name stands on its left."""
    words: str


class Strip(Stored):
    """One mark for one kind."""

    kind: str
    mark: str
    title: str
    words: str
    """The strip in a sentence."""
    dots: tuple[Dot, ...]
    median_x: float | None = None
    limit_x: float | None = None
    close: bool = False
    """Median and limit stand so near that their labels go apart."""
    ends: tuple[str, str]
    """The values at the left and the right end."""
    logarithmic: bool
    flagged: tuple[str, ...]
    table: Table
    """The same in numbers, the largest first."""


def strips(checks: Sequence[GateCheck]) -> tuple[Strip, ...]:
    """Of the checks that compared something."""
    return tuple(strip(check) for check in checks if check.values)


def strip(check: GateCheck) -> Strip:
    """One check."""
    shown = sorted(check.values.items(), key=lambda item: (-item[1], item[0]))
    scale = Scale([value for _, value in shown], check.median, check.limit)
    flagged = frozenset(check.flagged)
    dots = tuple(_dot(i, client, value, scale, client in flagged) for i, (client, value) in enumerate(shown))
    median_x, limit_x = (scale.x(value) if value is not None else None for value in (check.median, check.limit))
    return Strip(
        kind=check.kind,
        mark=check.mark,
        title=f"{check.kind}: {TITLES.get(check.mark, check.mark)}",
        words=_words(check),
        dots=dots,
        median_x=median_x,
        limit_x=limit_x,
        close=median_x is not None and limit_x is not None and limit_x - median_x < CLOSE,
        ends=(number(scale.low, 3), number(scale.high, 3)),
        logarithmic=scale.logarithmic,
        flagged=check.flagged,
        table=_table(check, shown),
    )


class Scale:
    """From values to places."""

    def __init__(self, values: Sequence[float], median: float | None, limit: float | None) -> None:
        positive = [value for value in (*values, limit) if value]
        self.logarithmic = bool(median) and min(values) > 0 and max(positive) > FAR * (median or 1.0)
        self.high = max([*values, *([1.15 * limit] if limit else [])]) or 1.0
        # A place is no length, so a strip need not begin at zero; it does unless all that there is to see is far off.
        least = min(values)
        self.low = least if self.logarithmic or least > NARROW * self.high else 0.0

    def x(self, value: float) -> float:
        """Between 2 and 98, so that no dot is cut."""
        low, high, at = (log10(v) if self.logarithmic else v for v in (self.low, self.high, max(value, self.low)))
        return round(2 + 96 * min(1.0, (at - low) / (high - low)), 2) if high > low else 50.0


def _dot(index: int, client: str, value: float, scale: Scale, flagged: bool) -> Dot:
    x = scale.x(value)
    y = FIRST + STEP * (index % LEVELS)
    return Dot(client=client, x=x, y=y, flagged=flagged, left=x > RIGHT, words=f"{client}: {number(value)}")


def _words(check: GateCheck) -> str:
    if check.limit is None:
        return f"{len(check.values)} updates: fewer than three are no crowd to stand out from"
    found = f"{len(check.values)} updates, median {number(check.median)}, limit {number(check.limit)}"
    if not check.flagged:
        return f"{found}; nobody stands out"
    return f"{found}; above it: {', '.join(check.flagged)}"


def _table(check: GateCheck, shown: Sequence[tuple[str, float]]) -> Table:
    rows = [
        row(client, number(value), _times(value, check.median), Cell("flagged" if client in check.flagged else ""))
        for client, value in shown[:LISTED]
    ]
    left = f" These are the {LISTED} largest; the others are below." if len(shown) > LISTED else ""
    return Table(
        caption=f"{check.kind}, {check.mark}",
        columns=("client", "value", "times the median", "mark"),
        rows=tuple(rows),
        text_columns=1,
        note=f"{_words(check).capitalize()}.{left}",
    )


def _times(value: float, median: float | None) -> str:
    return f"{value / median:.2f}" if median else MISSING
