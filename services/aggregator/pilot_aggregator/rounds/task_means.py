"""What a round's clients measured, by task: the one account of it that may leave their circle. Pure.

A mean over one client would be that client's own figure, which is as private as its update; such a task has none.
"""

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean

from pilot_proto.plan import TaskMean
from pilot_proto.update import EvaluationResult, Update

FEWEST_CLIENTS = 2

Place = tuple[str, str, int, str, str]
"""Task, point, round, split, metric."""


def task_means(said: Iterable[Update]) -> tuple[TaskMean, ...]:
    """The means over the clients of each task, sorted; of tasks that at least two clients measured."""
    found: dict[Place, list[EvaluationResult]] = defaultdict(list)
    for update in said:
        for result in update.evaluations:
            found[update.task, result.point, result.round, result.split, result.metric].append(result)
    return tuple(_mean(place, results) for place, results in sorted(found.items()) if len(results) >= FEWEST_CLIENTS)


def _mean(place: Place, results: list[EvaluationResult]) -> TaskMean:
    task, _, _, _, metric = place
    first = results[0]
    return TaskMean(
        task=task,
        point=first.point,
        round=first.round,
        split=first.split,
        metric=metric,
        value=fmean(result.value for result in results),
        clients=len(results),
        samples=sum(result.samples for result in results),
    )
