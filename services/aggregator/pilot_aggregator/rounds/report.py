"""What came of a run, from what its clients reported. Pure.

The interval is a paired percentile bootstrap (Efron 1979) over the test samples of a task: samples are drawn with
replacement, and the mean difference between two models on the same samples is taken each time. It speaks of the
samples at hand, not of other seeds.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from pilot_proto.assignment import AdapterRef
from pilot_proto.federation import Client
from pilot_proto.names import ADAPTER_FILE
from pilot_proto.report import ClientReport, RunReport, TaskReport
from pilot_proto.update import EvaluationResult, Update

RESAMPLES = 2000
RESAMPLING_SEED = 0

Said = Mapping[int, Mapping[str, Update]]
"""Round to client to update."""


def run_report(
    name: str,
    method: str,
    rounds: int,
    clients: Sequence[Client],
    said: Said,
    slots: Mapping[str, AdapterRef],
    *,
    with_scores: bool = False,
) -> RunReport:
    """The report of a run, as far as it has come."""
    reports = [_client(client, rounds, _points(said, client.name)) for client in clients]
    by_task = {task: [r for r in reports if r.task == task] for task in sorted({c.task for c in clients})}
    published = {slot: adapter for slot, adapter in slots.items() if adapter.repo.startswith(f"{name}/")}
    return RunReport(
        run=name,
        method=method,
        rounds=rounds,
        clients=tuple(r if with_scores else r.model_copy(update={"scores": None}) for r in reports),
        tasks=tuple(_task(task, members) for task, members in by_task.items()),
        published={adapter.repo: adapter.commit for adapter in published.values()},
        digests={a.repo: a.files[ADAPTER_FILE[slot.partition("/")[0]]].digest for slot, a in published.items()},
    )


def paired_interval(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of mean(after - before); both have one number per sample."""
    gain_n = np.subtract(after, before, dtype=np.float64)
    drawn = np.random.default_rng(RESAMPLING_SEED).integers(0, len(gain_n), (RESAMPLES, len(gain_n)))
    low, high = np.percentile(gain_n[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def _points(said: Said, client: str) -> dict[tuple[str, int], EvaluationResult]:
    """(point, round) to the result; a round is measured once."""
    return {
        (result.point, result.round): result
        for updates in said.values()
        if client in updates
        for result in updates[client].evaluations
    }


def _client(client: Client, rounds: int, points: Mapping[tuple[str, int], EvaluationResult]) -> ClientReport:
    def value(point: str, number: int) -> float | None:
        found = points.get((point, number))
        return found.value if found else None

    scores = {
        label: points["merged", number].scores
        for label, number in (("before", 0), ("merged", rounds))
        if ("merged", number) in points
    }
    return ClientReport(
        client=client.name,
        task=client.task,
        metric=next((result.metric for result in points.values()), ""),
        before=value("merged", 0),
        merged=tuple(value("merged", number) for number in range(1, rounds + 1)),
        local=tuple(value("local", number) for number in range(1, rounds + 1)),
        scores=scores,
    )


def _task(task: str, members: Sequence[ClientReport]) -> TaskReport:
    before: list[float] = []
    merged: list[float] = []
    for member in members:
        first, last = ((member.scores or {}).get(label, ()) for label in ("before", "merged"))
        # A client whose samples changed in between has nothing to pair.
        if len(first) == len(last):
            before += first
            merged += last
    return TaskReport(
        task=task,
        metric=members[0].metric,
        before=_mean([member.before for member in members]),
        merged=_mean([member.merged[-1] for member in members]),
        local=_mean([member.local[-1] for member in members]),
        gain=fmean(merged) - fmean(before) if merged else None,
        interval=paired_interval(before, merged) if merged else None,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
