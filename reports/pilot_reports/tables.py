"""Tables of a report, as values: a caption, headings, and cells of which some are shaded or stand out. Pure."""

from dataclasses import dataclass
from typing import Literal

from pilot_reports.numbers import change, score

MISSING = "\N{EN DASH}"
Tone = Literal["", "good", "bad", "quiet"]


@dataclass(frozen=True)
class Cell:
    text: str
    shade: float | None = None
    """0..1: how dark its ground is; the number stands there too."""
    tone: Tone = ""
    code: bool = False
    marked: bool = False
    """Drawn with a frame; the table's note says what for."""


@dataclass(frozen=True)
class Row:
    cells: tuple[Cell, ...]
    """The first is the row's heading."""
    strong: bool = False


@dataclass(frozen=True)
class Table:
    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    text_columns: int = 1
    """How many columns from the left hold words; the others hold numbers."""
    note: str = ""
    matrix: bool = False
    """A square of numbers, drawn tightly."""


def row(*cells: Cell | str, strong: bool = False) -> Row:
    return Row(tuple(c if isinstance(c, Cell) else Cell(c) for c in cells), strong)


def gain(value: float | None, metric: str) -> Cell:
    """A difference with its sign, and its colour."""
    if value is None:
        return Cell(MISSING, tone="quiet")
    tone: Tone = "good" if value > 0 else "bad" if value < 0 else ""
    return Cell(change(value, metric).replace("-", "\N{MINUS SIGN}"), tone=tone)


def value(number: float | None, metric: str) -> Cell:
    return Cell(score(number, metric)) if number is not None else Cell(MISSING, tone="quiet")
