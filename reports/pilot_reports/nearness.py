"""How near uploads are to each other, as figures and as grounds: the darker, the closer. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from statistics import median
from typing import Self

FAR = 100.0
PALE = 2.0


@dataclass(frozen=True)
class Nearness:
    """A set of distances, to draw each of them by."""

    low: float
    high: float
    pale: float
    """From here on a ground is as pale as can be: at most twice the median, so that one that is far away does not make
    all others look alike."""

    @classmethod
    def of(cls, distances: Sequence[float]) -> Self:
        if not distances:
            return cls(0.0, 0.0, 0.0)
        ordered = sorted(distances)
        low, high = ordered[0], ordered[-1]
        return cls(low, high, min(high, max(low, PALE * median(ordered))))

    @classmethod
    def between(cls, matrix: Sequence[Sequence[float]]) -> Self:
        """Of different uploads, each pair once."""
        return cls.of([distance for i, line in enumerate(matrix) for distance in line[i + 1 :]])

    def shade(self, distance: float) -> float | None:
        """1 for the closest, 0 for the farthest; None where all are alike."""
        if self.pale <= self.low:
            return None
        return 1 - (min(distance, self.pale) - self.low) / (self.pale - self.low)

    def figure(self, distance: float) -> str:
        """Four digits of the largest, and as many behind the point in every figure, so that they stand in line; where
        one is so far away that nothing would be left of the others, four digits of each."""
        if self.high > FAR * self.low > 0:
            return f"{distance:.4g}"
        return f"{distance:.{max(0, 3 - floor(log10(self.high))) if self.high > 0 else 0}f}"
