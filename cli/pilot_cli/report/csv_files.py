"""Tidy tables as CSV files in a folder."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from pilot_reports import tidy
from pilot_reports.history import History
from pilot_reports.tidy import Line, Value

from pilot_cli.report.writing import atomically

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet calculates text that begins so, whoever wrote it."""


def write(histories: Sequence[History], folder: Path) -> list[Path]:
    """metrics.csv, merge.csv and participation.csv; the files that were written."""
    tables = {
        "metrics.csv": (tidy.METRICS, tidy.metrics(histories)),
        "merge.csv": (tidy.MERGE, tidy.merge(histories)),
        "participation.csv": (tidy.PARTICIPATION, tidy.participation(histories)),
    }
    return [_write(folder / name, columns, lines) for name, (columns, lines) in tables.items()]


def guarded(value: Value) -> Value:
    """Text that a spreadsheet would calculate gets an apostrophe in front; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _write(file: Path, columns: Sequence[str], lines: Iterable[Line]) -> Path:
    with atomically(file) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([guarded(value) for value in line] for line in lines)
    return file
