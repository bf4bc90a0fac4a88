"""A table as lines of CSV, in which nothing is a formula. Pure."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from pilot_reports.tidy import Line, Value

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet calculates text that begins so, whoever wrote it."""


def written(columns: Sequence[str], lines: Iterable[Line]) -> Iterator[str]:
    """The head, then each line; every one ends with a newline."""
    yield _line(columns)
    for line in lines:
        yield _line([guarded(value) for value in line])


def guarded(value: Value) -> Value:
    """Text that a spreadsheet would calculate gets an apostrophe in front; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _line(values: Sequence[Value]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
