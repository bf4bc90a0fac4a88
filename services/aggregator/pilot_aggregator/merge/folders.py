"""A merge without a server: adapters in folders in, adapters in folders out.

    merge_folders([Path("a"), Path("b")], Path("out"), Rule(rule="nearest", neighbours=1))

writes `out/plan.json` and one folder per output. Everything is written beside `out` and appears by one rename: a merge
that is refused or dies leaves nothing.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilot_disk.files import sync_folder, write_atomically
from pilot_proto.run import Rule

from pilot_aggregator.merge.adapters import CONFIG, TENSORS, Adapter, found_at, scaling_of
from pilot_aggregator.merge.engine import mix
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.measure import Measured, measure
from pilot_aggregator.merge.mixture import Member, Mixture
from pilot_aggregator.merge.plan import DEFAULT_METRIC, check_rule, metric_of, mixture
from pilot_aggregator.merge.rules import rule_named
from pilot_aggregator.merge.rules.rule import Scope
from pilot_aggregator.merge.writer import Written

PLAN = "plan.json"
MERGED = "merged"
TASK = "all"


@dataclass(frozen=True)
class FolderMerge:
    """What was merged: the plan as it stands in `plan.json`, and what each output is."""

    plan: Mapping[str, Any]
    outputs: Mapping[str, Written]


def merge_folders(
    sources: Sequence[Path],
    out: Path,
    rule: Rule,
    *,
    weights: Sequence[int] | None = None,
    tasks: Sequence[str] | None = None,
    metric: str | None = None,
    base: Path | None = None,
) -> FolderMerge:
    """Merge adapters into `out`, which must not exist or be empty.

    Args:
        weights: n_k of each source, in the order given; by default equal.
        tasks: the task of each source, in the order given; by default one for all.
        metric: of the distances in the plan, for rules that need none too; by default the rule's, or euclidean.
        base: what the adapters started from, a folder or file, for metric `euclidean-delta`.

    Raises:
        MergeRefused: saying which input or argument is wrong; nothing is written.
        OSError: `out` cannot be written.
    """
    check_rule(rule)
    _refuse_occupied(out)
    adapters = found_at(sources)
    members = _members(adapters, weights, tasks)
    paths = {adapter.name: adapter.tensors for adapter in adapters}
    measured = measure(
        paths,
        metric or metric_of(rule) or DEFAULT_METRIC,
        base=found_at([base])[0].tensors if base else None,
        scaling=scaling_of(adapters[0]),
    )
    mixed = _folder_names(rule, mixture(rule, members, measured))
    plan = _plan(rule, members, measured, mixed)
    return FolderMerge(plan, _write(out, plan, {adapter.name: adapter for adapter in adapters}, mixed))


def _members(adapters: Sequence[Adapter], weights: Sequence[int] | None, tasks: Sequence[str] | None) -> list[Member]:
    count = len(adapters)
    for word, given in (("weights", weights), ("tasks", tasks)):
        if given is not None and len(given) != count:
            raise MergeRefused(f"{len(given)} {word} for {count} inputs; give one for each, in the same order")
    if any(weight < 1 for weight in weights or ()):
        raise MergeRefused(f"weights are counts of samples, at least 1 each, not {list(weights or ())}")
    return [
        Member(adapter.name, task, weight)
        for adapter, task, weight in zip(adapters, tasks or [TASK] * count, weights or [1] * count, strict=True)
    ]


def _folder_names(rule: Rule, mixed: Mixture) -> Mixture:
    if rule_named(rule.rule, {}).scope is Scope.GLOBAL:
        return mixed.renamed([MERGED])
    for output in mixed.outputs:
        if output in ("", ".", "..", PLAN) or "/" in output:
            raise MergeRefused(f"{output!r} cannot be the name of a folder; choose another task or folder name")
    return mixed


def _plan(rule: Rule, members: Sequence[Member], measured: Measured, mixed: Mixture) -> dict[str, Any]:
    ordered = sorted(members, key=lambda member: member.name)
    return {
        "rule": rule.model_dump(exclude_none=True),
        "names": list(mixed.inputs),
        "tasks": [member.task for member in ordered],
        "weights": [member.samples for member in ordered],
        "metric": measured.metric,
        "distances": [list(row) for row in measured.matrix],
        "outputs": list(mixed.outputs),
        "coefficients": [list(row) for row in mixed.coefficients],
    }


def _write(out: Path, plan: Mapping[str, Any], adapters: Mapping[str, Adapter], mixed: Mixture) -> dict[str, Written]:
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as beside:
        # The temporary folder is private to this user; the one inside gets the usual permissions.
        whole = Path(beside, "whole")
        paths = {output: whole / output / TENSORS for output in mixed.outputs}
        for output, path in paths.items():
            path.parent.mkdir(parents=True)
            _write_config(path.parent, adapters[_config_source(mixed, output)])
        written = mix({name: adapter.tensors for name, adapter in adapters.items()}, paths, mixed)
        write_atomically(whole / PLAN, json.dumps(plan, indent=2).encode() + b"\n")
        whole.replace(out)
    sync_folder(out.parent)
    return written


def _config_source(mixed: Mixture, output: str) -> str:
    """Whose configuration an output gets: its own client's, or that of its first contributor; they agree."""
    return output if output in mixed.inputs else mixed.contributors(output)[0]


def _write_config(folder: Path, adapter: Adapter) -> None:
    if adapter.config is not None:
        write_atomically(folder / CONFIG, adapter.config)


def _refuse_occupied(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise MergeRefused(f"{out} exists already; choose another --out, or remove it")
