"""Write the committed contract: proto/schema (every document) and proto/openapi (both services).

    python tools/schema.py [--check]        --check writes nothing, and fails naming what is stale

The services' applications are built over empty databases in a temporary folder; nothing is served.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pilot_aggregator.app
import pilot_registry.app
from fastapi import FastAPI
from pilot_aggregator.service import Service
from pilot_aggregator.store.store import LANDMARK, MIGRATIONS, Store
from pilot_disk.database import connect, upgrade
from pilot_http import openapi
from pilot_proto import export
from pilot_registry.settings import Settings
from prometheus_client import CollectorRegistry

PROTO = Path(__file__).parent.parent / "proto"


def contract() -> dict[Path, str]:
    """Every generated file of the contract, relative to `proto/`."""
    files = {Path("schema", name): text for name, text in export.schemas().items()}
    with tempfile.TemporaryDirectory() as folder, aggregator(Path(folder)) as first, registry(Path(folder)) as second:
        files[Path("openapi/aggregator.json")] = openapi.text(first)
        files[Path("openapi/registry.json")] = openapi.text(second)
    return files


@contextmanager
def aggregator(folder: Path) -> Iterator[FastAPI]:
    """The aggregator's application. Its routes are described, never called: of its parts only the store is real."""
    engine = connect(f"sqlite:///{folder / 'aggregator.sqlite'}")
    upgrade(engine, MIGRATIONS, LANDMARK)
    loop = SimpleNamespace(seconds=CollectorRegistry())
    parts = cast(Service, SimpleNamespace(store=Store(engine), attempts=None, loop=loop, check=None))
    yield pilot_aggregator.app.build_app(parts, lambda _: None, ["localhost"])
    engine.dispose()


@contextmanager
def registry(folder: Path) -> Iterator[FastAPI]:
    """The registry's application over an empty state folder."""
    keys = folder / "keys.yaml"
    keys.write_text("keys: []\n")
    app = pilot_registry.app.build_app(Settings(state_dir=folder, keys=keys))
    yield app
    app.state.registry.database.close()


def stale(root: Path, files: dict[Path, str]) -> list[str]:
    """What is missing, different, or left over under `root`."""
    there = {file.relative_to(root) for folder in ("schema", "openapi") for file in (root / folder).glob("*.json")}
    different = {file for file in files if file not in there or (root / file).read_text() != files[file]}
    return sorted(str(file) for file in different | (there - set(files)))


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when something is stale")
    check = parser.parse_args().check
    files = contract()
    wrong = stale(PROTO, files)
    for file in wrong:
        if check:
            sys.stdout.write(f"proto/{file} is stale: run `make schema` and commit what it writes\n")
        elif Path(file) in files:
            (PROTO / file).parent.mkdir(exist_ok=True)
            (PROTO / file).write_text(files[Path(file)])
        else:
            (PROTO / file).unlink()
    return 1 if check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
