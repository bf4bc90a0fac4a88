"""Tidy tables as CSV files in a folder."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pilot_reports import csv_lines, tidy
from pilot_reports.history import History
from pilot_reports.tidy import Line

from pilot_cli.report.writing import atomically


def write(histories: Sequence[History], folder: Path) -> list[Path]:
    """metrics.csv, merge.csv and participation.csv; the files that were written."""
    tables = {
        "metrics.csv": (tidy.METRICS, tidy.metrics(histories)),
        "merge.csv": (tidy.MERGE, tidy.merge(histories)),
        "participation.csv": (tidy.PARTICIPATION, tidy.participation(histories)),
    }
    return [_write(folder / name, columns, lines) for name, (columns, lines) in tables.items()]


def _write(file: Path, columns: Sequence[str], lines: Iterable[Line]) -> Path:
    with atomically(file) as stream:
        stream.writelines(csv_lines.written(columns, lines))
    return file
