"""Everything that a deployment tells of one run, as one value."""

from dataclasses import dataclass

from pilot_proto.local_update import LocalUpdate
from pilot_proto.plan import KindPlan, RoundDocument
from pilot_proto.registry import RejectionView
from pilot_proto.report import RunReport
from pilot_proto.run import RunView


@dataclass(frozen=True)
class History:
    """A run from its spec to its last round."""

    view: RunView
    report: RunReport
    rounds: tuple[RoundDocument, ...]
    updates: tuple[LocalUpdate, ...] | None = None
    """None where the caller's key may not read them."""
    rejections: tuple[RejectionView, ...] | None = None
    """Oldest first. None where the caller's key may not read them."""

    @property
    def name(self) -> str:
        return self.report.run

    @property
    def method(self) -> str:
        return self.report.method

    @property
    def seed(self) -> int:
        return self.view.spec.training.seed

    @property
    def label(self) -> str:
        """The name, and the method where the name does not say it."""
        return self.name if self.method in self.name else f"{self.name} ({self.method})"

    @property
    def trained(self) -> tuple[RoundDocument, ...]:
        """The rounds in which clients trained, without preparation and last evaluation."""
        return tuple(round for round in self.rounds if round.program not in ("prepare", "evaluate"))

    def merges(self) -> list[tuple[RoundDocument, KindPlan]]:
        """Every kind that some training round merged, in order."""
        plans = [(round, round.plan) for round in self.trained if round.plan]
        return [(round, kind) for round, plan in plans for kind in plan.kinds if kind.inputs]
