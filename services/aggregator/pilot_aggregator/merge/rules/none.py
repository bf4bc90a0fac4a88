"""No merge: every client gets its own adapter back, bit for bit.

Theta_k <- Theta_k
"""

from collections.abc import Sequence

from pilot_aggregator.merge.mixture import Member, Mixture
from pilot_aggregator.merge.rules.rule import Distances, Options, Rule, Scope


def none(members: Sequence[Member], distances: Distances | None, options: Options) -> Mixture:
    """K outputs, one per client: the identity matrix."""
    names = tuple(member.name for member in members)
    rows = tuple(tuple(float(i == k) for i in range(len(names))) for k in range(len(names)))
    return Mixture(names, names, rows, row_sums_to_one=True)


RULE = Rule("none", Scope.CLIENT, none)
