"""Which column of a table says what, and rows as cases. Pure."""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pilot_data.boxes import Box
from pilot_data.errors import DataError
from pilot_data.importing.cases import Case, CaseFault, Cases, Dropped, TaskKind, clean_answers, clean_text, within
from pilot_data.importing.tables import Row, Table

BoxFormat = Literal["xywh", "xyxy"]


@dataclass(frozen=True)
class Columns:
    """The columns of a table by their role; None for what a task does not read."""

    image: str
    answer: str | None
    question: str | None
    box: tuple[str, ...] = ()
    """One column with four numbers, or four columns."""
    box_format: BoxFormat = "xyxy"
    group: str | None = None

    def named(self) -> Iterable[tuple[str, str]]:
        """Every column with the option that names it."""
        roles = (("--image", self.image), ("--question", self.question), ("--answer", self.answer))
        yield from ((option, name) for option, name in roles if name is not None)
        yield from (("--box", name) for name in self.box)
        if self.group is not None:
            yield "--group-by", self.group


def table_cases(table: Table, columns: Columns, task: TaskKind, max_words: int) -> Cases:
    """The rows as cases.

    Raises DataError when a column is not there, naming it, the columns that are, and the option.
    """
    _check_columns(table, columns)
    made = Cases()
    for row in table.rows:
        place = f"line-{row.line}"
        try:
            made.cases.append(_case(row, place, columns, task, max_words))
        except CaseFault as fault:
            made.dropped.append(Dropped(place, fault.reason, fault.detail))
    return made


def _check_columns(table: Table, columns: Columns) -> None:
    if not table.rows:
        raise DataError(f"{table.file} holds no rows")
    missing = [(option, name) for option, name in columns.named() if name not in table.columns]
    if missing and table.columns:
        option, name = missing[0]
        near = difflib.get_close_matches(name.lower(), table.columns, n=1)
        meant = f" (perhaps {near[0]!r})" if near else ""
        raise DataError(
            f"{table.file} has no column {name!r}; its columns: {', '.join(table.columns)}",
            f"say which one it is with {option} COLUMN{meant}",
        )


def _case(row: Row, place: str, columns: Columns, task: TaskKind, max_words: int) -> Case:
    if row.fault:
        raise CaseFault("row cannot be read", row.fault)
    values = row.values
    return Case(
        place=place,
        image=clean_text(values.get(columns.image), "image"),
        question=_question(values, columns, max_words),
        answers=clean_answers(values.get(columns.answer), max_words) if columns.answer else (),
        box=_box(values, columns) if task == "grounding" else None,
        group=clean_text(values.get(columns.group), "group") if columns.group else None,
    )


def _question(values: Mapping[str, Any], columns: Columns, max_words: int) -> str:
    if columns.question is None:
        return ""
    return within(clean_text(values.get(columns.question), "question"), "question", max_words)


def _box(values: Mapping[str, Any], columns: Columns) -> Box:
    written = values.get(columns.box[0]) if len(columns.box) == 1 else [values.get(name) for name in columns.box]
    return corners(_numbers(written), columns.box_format)


def _numbers(written: object) -> list[float]:
    """Four numbers from a list, from JSON text, or from text with commas or blanks between."""
    if written is None or written == "" or written == [None] * 4 or written == [""] * 4:
        raise CaseFault("no box")
    parts = written
    if isinstance(parts, str):
        parts = json.loads(parts) if _is_json_list(parts) else parts.strip(" []()").replace(",", " ").split()
    if not isinstance(parts, list) or len(parts) != 4:
        raise CaseFault("box is not four numbers", f"it is {written!r}")
    try:
        return [float(part) for part in parts]
    except (TypeError, ValueError):
        raise CaseFault("box is not four numbers", f"it is {written!r}") from None


def _is_json_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except ValueError:
        return False


def corners(numbers: list[float], box_format: BoxFormat) -> Box:
    """Four numbers as (x1, y1, x2, y2). Raises CaseFault for a box of no size or of infinite size."""
    x1, y1, a, b = numbers
    x2, y2 = (x1 + a, y1 + b) if box_format == "xywh" else (a, b)
    # Comparisons with NaN are false, so it fails here as well.
    if not (x1 < x2 < float("inf") and y1 < y2 < float("inf")):
        raise CaseFault("box has no size", f"{numbers} as {box_format}")
    return (x1, y1, x2, y2)
