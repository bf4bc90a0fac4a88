"""Files that a page offers to take away, sent in pieces."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from fastapi.responses import StreamingResponse
from pilot_reports import csv_lines
from pilot_reports.tidy import Line

from pilot_registry.ui.page import SECURITY

LINES = 500
"""In one piece: a thread is asked for each."""


def csv_file(name: str, columns: Sequence[str], lines: Iterable[Line]) -> StreamingResponse:
    """A table as CSV; `name` is what a browser saves it as."""
    return StreamingResponse(
        _pieces(csv_lines.written(columns, lines)), headers=attached(name), media_type="text/csv; charset=utf-8"
    )


def attached(name: str) -> dict[str, str]:
    """Headers of a file that is saved, not shown; `name` is ASCII without quotes."""
    return {**SECURITY, "Content-Disposition": f'attachment; filename="{name}"'}


def _pieces(lines: Iterator[str]) -> Iterator[str]:
    while piece := "".join(islice(lines, LINES)):
        yield piece
