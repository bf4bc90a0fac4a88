"""Visual aggregation. Pilot, arXiv:2501.13985, equation 10.

    Theta_v^t = sum_{k in K_t} n_k / (sum_{i in K_t} n_i) * Theta_{v,k}

K_t: the clients of task t that take part.  A task without one is no output: the caller carries its previous value.
A task with one client gets that client's adapter, bit for bit.
"""

from collections.abc import Sequence

from pilot_aggregator.merge.mixture import Member, Mixture
from pilot_aggregator.merge.rules.rule import Distances, Options, Rule, Scope, normalised


def per_task_mean(members: Sequence[Member], distances: Distances | None, options: Options) -> Mixture:
    """One output per task that has a member, weighted by samples within the task."""
    tasks = tuple(sorted({member.task for member in members}))
    rows = tuple(normalised([m.samples if m.task == task else 0 for m in members]) for task in tasks)
    return Mixture(tuple(m.name for m in members), tasks, rows, row_sums_to_one=True)


RULE = Rule("per-task-mean", Scope.TASK, per_task_mean)
