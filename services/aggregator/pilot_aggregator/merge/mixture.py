"""A linear merge as a value: which input goes into which output with what coefficient."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

SUM_TOLERANCE = 1e-9

Row = tuple[float, ...]


@dataclass(frozen=True)
class Member:
    """One update that takes part in a merge: n_k samples of task t_k by client k."""

    name: str
    task: str
    samples: int

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"{self.name} declares {self.samples} samples: a merge weight must be at least 1")


@dataclass(frozen=True)
class Mixture:
    """outputs x inputs coefficients: output_j = sum_i coefficients[j][i] * input_i.

    Inputs are in sorted order, because that is the order in which the engine adds them up. Outputs that no member
    contributes to are not here: the caller carries their previous value.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    coefficients: tuple[Row, ...]
    row_sums_to_one: bool

    def __post_init__(self) -> None:
        assert list(self.inputs) == sorted(set(self.inputs)), "inputs are sorted and unique"
        assert len(set(self.outputs)) == len(self.outputs), "outputs are unique"
        assert len(self.coefficients) == len(self.outputs)
        for output, row in zip(self.outputs, self.coefficients, strict=True):
            _check_row(output, row, len(self.inputs), self.row_sums_to_one)

    def contributors(self, output: str) -> tuple[str, ...]:
        """The inputs that have a part in this output."""
        row = self.coefficients[self.outputs.index(output)]
        return tuple(name for name, c in zip(self.inputs, row, strict=True) if c != 0.0)

    def renamed(self, outputs: Sequence[str]) -> "Mixture":
        """The same rows for outputs of other names."""
        return replace(self, outputs=tuple(outputs))


def by_name(members: Sequence[Member]) -> list[Member]:
    """The members in the order in which everything about a merge is computed and stored.

    Raises:
        ValueError: when there are none, or two have the same name.
    """
    ordered = sorted(members, key=lambda member: member.name)
    if not ordered:
        raise ValueError("nothing to merge: give at least one member")
    for one, other in pairwise(ordered):
        if one.name == other.name:
            raise ValueError(f"two members are called {one.name!r}: names must be unique")
    return ordered


def _check_row(output: str, row: Row, inputs: int, sums_to_one: bool) -> None:
    assert len(row) == inputs, f"{output}: {len(row)} coefficients for {inputs} inputs"
    assert all(math.isfinite(c) for c in row), f"{output}: coefficients are finite"
    assert not sums_to_one or abs(math.fsum(row) - 1.0) <= SUM_TOLERANCE, f"{output}: coefficients sum to one"
