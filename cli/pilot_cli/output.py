"""Tables for people, stable JSON for scripts."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 160
"""Without a terminal there is no width to fit into; tables keep their columns whole."""

SENTENCES = ("LEFT OUT", "MESSAGE")
"""Columns that take several lines rather than the room of the others."""

console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
"""Knows NO_COLOR, and whether it writes to a terminal."""

complaints = Console(stderr=True, highlight=False)


class Format(StrEnum):
    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


Output = Annotated[Format, typer.Option("-o", "--output", help="How to print.")]


def print_document(document: Any, output: Format) -> None:
    """A document as JSON, or as YAML for everything else."""
    if output is Format.JSON:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        sys.stdout.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A table without frames."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=column not in SENTENCES,
            overflow="fold" if column in SENTENCES else "ellipsis",
        )
    for row in rows:
        table.add_row(*row)
    console.print(table)


def age(moment: datetime, now: datetime | None = None) -> str:
    """How long ago, in the largest fitting unit."""
    seconds = max(0, int(((now or datetime.now(UTC)) - moment).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
