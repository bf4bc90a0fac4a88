"""How long an attempt takes for what, measured where it tells what it does: by its own progress."""

import time
from collections.abc import Callable
from itertools import pairwise

from pilot_proto.run import Progress, StageTime

MOST = 50
"""No attempt changes its stage so often; the aggregator takes no more."""


class Stages:
    """The stages of one process in order, each until the next one begins."""

    def __init__(self, report: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`report` is told everything that passes through; `clock` never goes back."""
        self._report, self._clock = report, clock
        self._begun: list[tuple[str, float]] = []

    def report(self, progress: Progress) -> None:
        """Pass on, and note where another stage begins."""
        if progress.stage and (not self._begun or self._begun[-1][0] != progress.stage):
            self._begun.append((progress.stage, self._clock()))
        self._report(progress)

    def spent(self) -> tuple[StageTime, ...]:
        """What was done up to now."""
        ends = [*self._begun, ("", self._clock())][: MOST + 1]
        return tuple(StageTime(stage=stage, seconds=end - begin) for (stage, begin), (_, end) in pairwise(ends))
