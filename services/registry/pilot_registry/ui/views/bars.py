"""Gains as bars to the left and right of nothing, one drawing for each task and point. Pure geometry."""

from collections.abc import Sequence

from pilot_proto.base import Stored
from pilot_proto.metrics import unit_of
from pilot_reports.comparison import Value
from pilot_reports.numbers import change
from pilot_reports.transfer import Spread, TaskTransfer

LABELS, FIELD, VALUES = 124, 164, 58
"""Columns, in pixels: names, bars, numbers."""
ROW, BAR, TOP = 19, 11, 4
LONGEST_LABEL = 18


class Bar(Stored):
    label: str
    value: str
    x: float
    y: float
    width: float
    tone: str
    """`plus` or `minus`."""
    strong: bool = False
    """The mean."""


class Bars(Stored):
    title: str
    unit: str
    width: int
    height: int
    zero: float
    """Where nothing is gained."""
    values: int = LABELS + FIELD + 6
    """Where the numbers begin."""
    bar: int = BAR
    bars: tuple[Bar, ...]


def bars(task: TaskTransfer) -> tuple[Bars, ...]:
    """Of both points, in one scale; without what nobody measured."""
    lines = {
        "merged": ([(c.client, c.merged) for c in task.clients], task.merged),
        "local": ([(c.client, c.local) for c in task.clients], task.local),
    }
    largest = max((abs(v) for values, _ in lines.values() for _, v in values if v is not None), default=0.0) or 1.0
    made = (_drawing(point, task, values, mean, largest) for point, (values, mean) in lines.items())
    return tuple(each for each in made if each is not None)


def _drawing(
    point: str, task: TaskTransfer, values: Sequence[tuple[str, Value]], mean: Spread | None, largest: float
) -> Bars | None:
    known = [(client, value, False) for client, value in values if value is not None]
    if not known or mean is None:
        return None
    lines = [(f"mean of {task.task}", mean.mean, True), *known]
    unit = "points" if unit_of(task.metric) == "share" else task.metric
    return Bars(
        title=f"{task.task}, {point}",
        unit=unit,
        width=LABELS + FIELD + VALUES,
        height=TOP * 2 + ROW * len(lines),
        zero=LABELS + FIELD / 2,
        bars=tuple(_bar(i, *line, largest, task.metric) for i, line in enumerate(lines)),
    )


def _bar(place: int, label: str, value: float, strong: bool, largest: float, metric: str) -> Bar:
    length = round(abs(value) / largest * FIELD / 2, 1)
    zero = LABELS + FIELD / 2
    return Bar(
        label=label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}\N{HORIZONTAL ELLIPSIS}",
        value=change(value, metric).replace("-", "\N{MINUS SIGN}"),
        x=zero if value >= 0 else zero - length,
        y=TOP + ROW * place,
        width=length,
        tone="plus" if value >= 0 else "minus",
        strong=strong,
    )
