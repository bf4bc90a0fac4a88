"""Intervals for differences between two runs on the same samples. Pure."""

import random
from collections.abc import Sequence
from statistics import fmean

RESAMPLES = 2000
SEED = 0


def paired_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of mean(second - first) by the paired percentile bootstrap (Efron 1979).

    Both hold one number per sample. It speaks of the samples at hand, not of other seeds.

    Raises:
        ValueError: the lengths differ, or there is nothing.
    """
    gain_n = [b - a for a, b in zip(first, second, strict=True)]
    if not gain_n:
        raise ValueError("no samples to pair")
    drawn = random.Random(SEED)
    means = sorted(fmean(drawn.choices(gain_n, k=len(gain_n))) for _ in range(RESAMPLES))
    return _percentile(means, 0.025), _percentile(means, 0.975)


def _percentile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
