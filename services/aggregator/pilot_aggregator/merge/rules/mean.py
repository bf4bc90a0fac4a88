"""Federated averaging. McMahan et al. 2017, arXiv:1602.05629, Algorithm 1.

    Theta = sum_k n_k / n Theta_k,      n = sum_k n_k

n_k: samples of client k.  Deviation: none; LoRA factors A and B are averaged separately, as FedIT does, so the
product of the means is not the mean of the products (algorithms T7).
"""

from collections.abc import Sequence

from pilot_aggregator.merge.mixture import Member, Mixture
from pilot_aggregator.merge.rules.rule import Distances, Options, Rule, Scope, normalised

OUTPUT = "global"


def mean(members: Sequence[Member], distances: Distances | None, options: Options) -> Mixture:
    """One output for everybody, weighted by samples."""
    row = normalised([member.samples for member in members])
    return Mixture(tuple(m.name for m in members), (OUTPUT,), (row,), row_sums_to_one=True)


RULE = Rule("mean", Scope.GLOBAL, mean)
