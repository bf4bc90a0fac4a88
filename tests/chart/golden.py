"""What the chart renders from each set of `charts/pilot/ci`, in `golden/`, so that a review sees what a change does.

    python tests/chart/golden.py            write them again

Generated keys differ each time, and scripts are in `charts/pilot/files`: both are left out.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from chart.rendering import SETS, Object, rendered

FOLDER = Path(__file__).with_name("golden")
HEADER = "# Written by tests/chart/golden.py; do not edit.\n"


class _Readable(yaml.SafeDumper):
    """Text of several lines stays text of several lines."""


def _text(dumper: yaml.SafeDumper, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Readable.add_representer(str, _text)


def golden(name: str) -> str:
    """The text for one set."""
    found = sorted(rendered(name), key=lambda thing: (thing["kind"], thing["metadata"]["name"]))
    documents = [steady(thing) for thing in found]
    return HEADER + yaml.dump_all(documents, Dumper=_Readable, width=200, sort_keys=True)


def steady(thing: Object) -> Object:
    """An object without what is random or is a file of its own."""
    if thing["kind"] == "Secret":
        return {**thing, "data": dict.fromkeys(thing.get("data", {}), "generated")}
    if thing["kind"] == "ConfigMap":
        data = {key: f"files/{key}" if key.endswith(".py") else value for key, value in thing["data"].items()}
        return {**thing, "data": data}
    return thing


def file_of(name: str) -> Path:
    return FOLDER / f"{name}.yaml"


def write() -> None:
    """All of them."""
    FOLDER.mkdir(exist_ok=True)
    for name in SETS:
        file_of(name).write_text(golden(name))


if __name__ == "__main__":
    write()
