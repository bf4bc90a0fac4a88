"""What each client's local update was, and what went over the line for it: for operators, not for every viewer."""

from pydantic import Field

from pilot_proto.base import Stored
from pilot_proto.training import Program
from pilot_proto.update import Execution, LossSummary


class LocalUpdate(Stored):
    """One client's accepted update of one round, as its `update.json` told it."""

    round: int
    client: str
    task: str
    program: Program
    num_examples: int
    dropped: int
    truncated: int
    steps: int
    losses: dict[str, LossSummary] = Field(default_factory=dict)
    """By part: `total`, `cross_entropy`, `difference`, `balance`, `z`."""
    router: dict[str, float] = Field(default_factory=dict)
    """Stage 2: the mean probability of each task's adapter."""
    execution: Execution | None = None
    uploaded_bytes: int
    """All files of the version that was sealed."""
    downloaded_bytes: int
    """All files that its assignment names; an attempt that is repeated fetches them again."""


class LocalUpdatePage(Stored):
    items: tuple[LocalUpdate, ...]
    """By round, then by client."""
