"""What the steps of an update have added up to so far; part of every checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pilot_proto.update import LossSummary


@dataclass
class History:
    """Loss parts by name, and the sums of the mean gates."""

    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    gates: list[float] = field(default_factory=list)

    def add(self, losses: Mapping[str, float], gates: Sequence[float]) -> None:
        """Count one step."""
        self.first = self.first or dict(losses)
        self.last = dict(losses)
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in losses.items()}
        before = self.gates or [0.0] * len(gates)
        self.gates = [a + b for a, b in zip(before, gates, strict=True)]

    def summary(self, num_steps: int) -> dict[str, LossSummary]:
        """First, last and mean of each part."""
        return {
            name: LossSummary(first=self.first.get(name, 0.0), last=self.last.get(name, 0.0), mean=total / num_steps)
            for name, total in sorted(self.sums.items())
        }

    def mean_gates(self) -> list[float]:
        """The mean gate of each adapter over the images seen; empty outside stage 2."""
        total = sum(self.gates)
        return [gate / total for gate in self.gates] if total else self.gates
