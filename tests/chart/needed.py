"""Which values may not be null, in `files/needed.txt` of the chart: what templates look into, and what has a default.

    python tests/chart/needed.py            write it again

Helm takes a null in the values, such as a section whose lines are all comments, as the wish to take the default away.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from chart.rendering import CHART

FILE = CHART / "files" / "needed.txt"
LISTS = ("clients", "models", "federation.tasks")
FREE = ("podSecurityContext", "securityContext", "resources", "base")
"""Sections whose content may be taken away: the cluster's own defaults, or those of `trainer`, come in its place."""


def needed() -> str:
    """One value on each line, sections before what is in them."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    return "".join(f"{path}\n" for path in _walk(values, ""))


def _walk(section: dict[str, Any], above: str) -> Iterator[str]:
    for key, value in section.items():
        path = f"{above}{key}"
        if value in ({}, [], "") or (isinstance(value, list) and path not in LISTS) or key in FREE[:-1]:
            continue
        yield path
        if isinstance(value, dict) and key not in FREE:
            yield from _walk(value, f"{path}.")


if __name__ == "__main__":
    FILE.write_text(needed())
