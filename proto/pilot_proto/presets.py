"""What `method:` stands for, and how a written run becomes a complete one."""

from typing import Any

from pilot_proto.problem import FieldError, InvalidDocument, validated
from pilot_proto.run import Run, RunSpec

PRESETS: dict[str, dict[str, Any]] = {
    "pilot": {
        "rounds": ["stage-1", "stage-2", "stage-2"],
        "merge": {
            "connector": {"rule": "per-task-mean"},
            "text": {
                "rule": "nearest",
                "neighbours": 6,
                "metric": "euclidean",
                "combine": "convex",
                "weight_cap": 1.0,
            },
        },
    },
    "local": {
        "rounds": ["plain", "plain", "plain"],
        "merge": {"connector": {"rule": "none"}, "text": {"rule": "none"}},
    },
    "fedavg": {
        "rounds": ["plain", "plain", "plain"],
        "merge": {"connector": {"rule": "mean"}, "text": {"rule": "mean"}},
    },
}


def expand(document: Any) -> Run:
    """A run with every default written out: the preset of its method under what was written.

    Raises:
        InvalidDocument: with a JSON pointer, and the nearest valid name, for every fault.
    """
    written = document.get("spec") if isinstance(document, dict) else None
    if isinstance(written, dict):
        preset = PRESETS.get(str(written.get("method", "pilot")), PRESETS["pilot"])
        document = {**document, "spec": _overlay(preset, written)}
    run = validated(Run, document, "run")
    faults = contradictions(run.spec)
    if faults:
        raise InvalidDocument("run", faults)
    return run


def contradictions(spec: RunSpec) -> list[FieldError]:
    """Combinations of settings that cannot work, each with the reason and the way out."""
    faults = []
    per_task = spec.merge.connector.rule == "per-task-mean"
    if "stage-2" in spec.rounds and not per_task:
        faults.append(
            FieldError(
                pointer="/spec/merge/connector/rule",
                message=f"stage-2 mixes task adapters, but rule {spec.merge.connector.rule!r} makes none",
                hint="use 'per-task-mean', or leave stage-2 out of rounds",
            )
        )
    staged = [program for program in spec.rounds if program != "plain"]
    if staged and len(staged) != len(spec.rounds):
        faults.append(
            FieldError(
                pointer="/spec/rounds",
                message="'plain' has one connector branch and the stages have two: a run cannot mix them",
                hint="use plain in every round, or in none",
            )
        )
    if "stage-2" in spec.rounds and spec.rounds[0] == "stage-2" and spec.start_from is None:
        faults.append(
            FieldError(
                pointer="/spec/rounds/0",
                message="stage-2 builds on the task adapters of a stage-1 round",
                hint="start with stage-1, or give start_from",
            )
        )
    micro, batch = spec.training.micro_batch_size, spec.training.effective_batch_size
    if isinstance(micro, int) and (micro < 1 or batch % micro):
        faults.append(
            FieldError(
                pointer="/spec/training/micro_batch_size",
                message=f"{micro} does not divide effective_batch_size {batch}",
                hint="choose a divisor, or 'auto'",
            )
        )
    return faults


def _overlay(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` on top of `under`, key by key; a merge rule that changes its name brings none of the old options."""
    result = dict(under)
    for key, value in over.items():
        below = under.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and _same_rule(below, value):
            result[key] = _overlay(below, value)
        else:
            result[key] = value
    return result


def _same_rule(below: dict[str, Any], value: dict[str, Any]) -> bool:
    return bool(value.get("rule", below.get("rule")) == below.get("rule"))
