"""The settings that are compared, and the run document of each. Pure.

A setting says only in what it differs from the run file of its method, which `write_federation` writes.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Split = Literal["val", "test"]
SPLITS: tuple[Split, ...] = ("val", "test")
SAMPLES: Mapping[Split, int] = {"val": 60, "test": 100}


@dataclass(frozen=True)
class Setting:
    """One row of the table. `text` and `rounds` replace those of the run file."""

    name: str
    title: str
    method: Literal["pilot", "local", "fedavg"] = "pilot"
    text: Mapping[str, Any] = field(default_factory=dict)
    rounds: tuple[str, ...] = ()
    splits: tuple[Split, ...] = ("test",)


def _nearest(neighbours: int) -> dict[str, Any]:
    return {"rule": "nearest", "neighbours": neighbours}


SETTINGS: tuple[Setting, ...] = (
    Setting("local", "local", "local", splits=SPLITS),
    Setting("fedavg", "fedavg", "fedavg"),
    Setting("m0", "pilot, M = 0", text=_nearest(0), splits=SPLITS),
    Setting("m1", "pilot, M = 1", text=_nearest(1), splits=SPLITS),
    Setting("m2", "pilot, M = 2", text=_nearest(2), splits=SPLITS),
    Setting("alone", "alone: stage 1 three times", text=_nearest(0), rounds=("stage-1", "stage-1", "stage-1")),
)
"""Those with `val` are chosen among. `alone` federates nothing: it is what two branches do, where `local` has one."""


def run_name(setting: str, seed: int, split: Split) -> str:
    """The run of a setting; unique in a deployment."""
    return f"{setting}-seed-{seed}-{split}"


def document(written: Mapping[str, Any], setting: Setting, seed: int, split: Split) -> dict[str, Any]:
    """The run to create, from the run file of the setting's method."""
    made: dict[str, Any] = copy.deepcopy(dict(written))
    made["metadata"]["name"] = run_name(setting.name, seed, split)
    spec = made["spec"]
    spec["training"]["seed"] = seed
    spec["evaluation"] = {"split": split, "samples": SAMPLES[split]}
    if setting.rounds:
        spec["rounds"] = list(setting.rounds)
        rates = spec["training"]["learning_rate"]
        spec["training"]["learning_rate"] = {program: rates[program] for program in sorted(set(setting.rounds))}
    if setting.text:
        spec["merge"] = {**spec.get("merge", {}), "text": dict(setting.text)}
    return made
