"""What a linear rule is: members, their distances and its options in, a mixture out.

A further rule is one file in this folder that defines `RULE`, and one test. Rules that are not linear (median,
trimmed mean, SVD of products, server optimisers with state) are no mixtures: they get groups of tensors instead of
coefficients, see `engine`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pilot_aggregator.merge.mixture import Member, Mixture, Row

Option = str | int | float
Options = Mapping[str, Option]
Distances = Sequence[Sequence[float]]
"""Inputs x inputs, in the members' sorted order; symmetric with a zero diagonal."""


class Scope(StrEnum):
    """What an output of a rule is made for."""

    CLIENT = "client"
    TASK = "task"
    GLOBAL = "global"


@dataclass(frozen=True)
class Rule:
    """A rule by name. `mix` is given the members sorted by name."""

    name: str
    scope: Scope
    mix: Callable[[Sequence[Member], Distances | None, Options], Mixture]
    needs_distances: bool = False
    reads: frozenset[str] = frozenset()
    """The options that it understands; others are refused."""


def normalised(weights: Sequence[float]) -> Row:
    """The weights divided by their sum."""
    total = sum(weights)
    return tuple(weight / total for weight in weights)
