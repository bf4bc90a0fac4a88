"""What was measured, kept as one small JSON file, so that a study that is interrupted goes on where it was."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

DECIMALS = 4
RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True)
class Outcome:
    """One client of one run. `before` is the base model; `merged` and `local` have one value per round."""

    before: float
    merged: tuple[float, ...]
    local: tuple[float, ...]
    scores: tuple[float, ...] = ()
    """Per test sample, of the last `merged`."""


@dataclass(frozen=True)
class Measured:
    """One run."""

    setting: str
    seed: int
    split: str
    clients: Mapping[str, Outcome]
    adapters: Mapping[str, str]
    """Repository, without the run's name, to the sha256 of what stands in it at the end."""


def outcomes(report: Mapping[str, Any], *, with_scores: bool) -> dict[str, Outcome]:
    """The clients of a run's report, in its order."""
    return {
        client["client"]: Outcome(
            before=round(client["before"], DECIMALS),
            merged=_rounded(client["merged"]),
            local=_rounded(client["local"]),
            scores=_rounded(client["scores"]["merged"]) if with_scores else (),
        )
        for client in report["clients"]
    }


def adapters(report: Mapping[str, Any]) -> dict[str, str]:
    """Which bytes the run ended with."""
    return {repo.partition("/")[2]: digest for repo, digest in sorted(report["digests"].items())}


def _rounded(values: Any) -> tuple[float, ...]:
    return tuple(round(value, DECIMALS) for value in values)


def read(file: Path) -> list[Measured]:
    """Everything measured so far."""
    if not file.is_file():
        return []
    return [_measured(row) for row in json.loads(file.read_text())]


def write(file: Path, runs: list[Measured]) -> None:
    """All of it, in an order that does not depend on when it was measured; whole or not at all."""
    ordered = sorted(runs, key=lambda run: (run.setting, run.seed, run.split))
    part = file.with_name(f"{file.name}.part")
    part.write_text("[\n" + ",\n".join(json.dumps(asdict(run)) for run in ordered) + "\n]\n")
    os.replace(part, file)


def _measured(row: dict[str, Any]) -> Measured:
    clients = {
        name: Outcome(c["before"], tuple(c["merged"]), tuple(c["local"]), tuple(c["scores"]))
        for name, c in row["clients"].items()
    }
    return Measured(row["setting"], row["seed"], row["split"], clients, row["adapters"])
