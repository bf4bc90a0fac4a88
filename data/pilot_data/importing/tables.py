"""CSV and JSONL files as rows with the line that each came from."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilot_data.errors import DataError

DELIMITERS = (",", ";", "\t")
# One field may be as long as a file: a quote that is never closed is found by its own rule, not by this one.
_FIELD_LIMIT = 1 << 30


@dataclass(frozen=True)
class Row:
    """One row; `fault` says why its values cannot be read."""

    line: int
    values: dict[str, Any]
    fault: str = ""


@dataclass(frozen=True)
class Table:
    """All rows of a file, and every column that any of them has."""

    file: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_text(file: Path) -> str:
    """The text of a file. Raises DataError when it is missing or not UTF-8, with the line of the first wrong byte."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{file} is not UTF-8 text: byte 0x{raw[error.start]:02x} in line {line}",
            "save it as UTF-8 (in a spreadsheet: 'CSV UTF-8'), or convert it with iconv -f LATIN1 -t UTF-8",
        ) from error


def read_csv(file: Path) -> Table:
    """A CSV file with a header, separated by commas, semicolons or tabs: by what gives its header most columns.

    Raises DataError when it is not UTF-8, has no header or a doubled column, or a quote is left open.
    """
    text = read_text(file)
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=lambda d: len(next(csv.reader([header], delimiter=d), [])))
    csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
        _check_header(file, columns)
        rows = tuple(_csv_rows(reader, columns))
    except csv.Error as error:
        raise DataError(
            f"{file}, line {reader.line_num}: {error}",
            "a field that begins with a quote must end with one, and a quote inside it is written twice",
        ) from error
    return Table(file, tuple(columns), rows)


def _check_header(file: Path, columns: list[str]) -> None:
    if not any(columns):
        raise DataError(f"{file} is empty", "its first line names the columns")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(f"{file} has two columns called {twice[0]!r}", "rename one of them")


def _csv_rows(reader: Any, columns: list[str]) -> Iterator[Row]:
    begins = reader.line_num + 1
    for fields in reader:
        line, begins = begins, reader.line_num + 1
        if not fields:
            continue
        wrong = f"{len(fields)} fields, the header has {len(columns)}" if len(fields) != len(columns) else ""
        yield Row(line, dict(zip(columns, fields, strict=False)), wrong)


def read_jsonl(file: Path) -> Table:
    """One JSON object per line; a broken line is a row with a fault. Raises DataError when the file is not UTF-8."""
    # Not splitlines: JSON text may hold line separators of other alphabets as they are.
    lines = enumerate(read_text(file).split("\n"), start=1)
    rows = tuple(_json_row(number, text) for number, text in lines if text.strip())
    return Table(file, tuple(dict.fromkeys(name for row in rows for name in row.values)), rows)


def _json_row(line: int, text: str) -> Row:
    try:
        values = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        return Row(line, {}, f"not JSON: {error}")
    if not isinstance(values, dict):
        return Row(line, {}, f"a line holds a JSON object, not {type(values).__name__}")
    return Row(line, values)
