"""Federated averaging among the clients of one task, given to each of them.

    Theta_k <- sum_{i in K_t} n_i / (sum_{j in K_t} n_j) * Theta_i,      t = t_k

The comparison between `mean` (everybody) and `none` (nobody): what does it bring to leave other tasks out?
"""

from collections.abc import Sequence

from pilot_aggregator.merge.mixture import Member, Mixture
from pilot_aggregator.merge.rules.rule import Distances, Options, Rule, Scope, normalised


def same_task(members: Sequence[Member], distances: Distances | None, options: Options) -> Mixture:
    """One output per client: the mean of its task, weighted by samples."""
    names = tuple(member.name for member in members)
    rows = tuple(normalised([m.samples if m.task == own.task else 0 for m in members]) for own in members)
    return Mixture(names, names, rows, row_sums_to_one=True)


RULE = Rule("same-task", Scope.CLIENT, same_task)
