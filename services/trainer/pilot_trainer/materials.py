"""What goes into a local update, what comes out of it, and how the outside world takes part."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from pilot_model.model import Base
from pilot_model.parts import Sources
from pilot_proto.assignment import Assignment
from pilot_proto.names import Kind
from pilot_proto.run import Progress
from torch import Tensor

from pilot_trainer.errors import Temporary

TEXT = "text"
CONNECTOR = "connector"


@dataclass(frozen=True)
class Materials:
    """Everything that an update is made of."""

    assignment: Assignment
    assignment_digest: str
    base: Base
    accelerator: Accelerator
    text: Mapping[str, Tensor]
    """The LoRA handed out; empty in round 0."""
    sources: Sources
    private: Mapping[str, Tensor]
    """The whole private state: `connector.*`, `text.*`, perhaps `optimiser.*`; empty before the first update."""
    data_dir: Path | None
    features_dir: Path
    work_dir: Path
    """This incarnation's folder; its siblings are other incarnations'."""


@dataclass
class Outcome:
    """What is to become a result."""

    adapters: dict[Kind, dict[str, Tensor]] = field(default_factory=dict)
    private: dict[str, Tensor] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    """Fields of the update: counts, losses, evaluations."""


@dataclass(frozen=True)
class Watch:
    """How the outside world takes part: progress out, requests to stop and the time of checkpoints in."""

    report: Callable[[Progress], None]
    stopping: Callable[[], bool]
    checkpoint_due: Callable[[], bool]

    def check(self) -> None:
        """Raise Temporary when asked to stop."""
        if self.stopping():
            raise Temporary("asked to stop; the next attempt goes on from the last checkpoint")
