"""What a merge will do and did: the plan (which inputs go into which output with what weight) and the ledger (who
was asked, answered and counted). Both are stored before the merge starts and committed with its outputs."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from pilot_proto.assignment import AdapterRef
from pilot_proto.base import SchemaVersion, Stored, added
from pilot_proto.canonical import Commit, Digest
from pilot_proto.names import Kind
from pilot_proto.run import Rule
from pilot_proto.training import Program


class PlanInput(Stored):
    client: str
    task: str
    repo: str
    commit: Commit
    digest: Digest
    """Of the adapter's file."""
    num_examples: int


class PlanOutput(Stored):
    repo: str
    client: str | None = None
    """For whom, where the output is a client's own."""
    task: str | None = None
    coefficients: tuple[float, ...] = ()
    """One per input, in the inputs' order; empty when the output is carried."""
    carried: AdapterRef | None = None
    """An earlier version that stands in, because nobody who answered contributes to this output."""


class Distances(Stored):
    metric: str
    matrix: tuple[tuple[float, ...], ...]
    """Inputs x inputs, float64, in the inputs' order."""


class KindPlan(Stored):
    kind: Kind
    rule: Rule
    inputs: tuple[PlanInput, ...]
    """Sorted by client."""
    outputs: tuple[PlanOutput, ...]
    """Sorted by repository."""
    distances: Distances | None = None
    row_sums_to_one: bool = True


class MergePlan(Stored):
    schema_version: SchemaVersion = "pilot/v1"
    run: str
    round: int
    program: Program
    kinds: tuple[KindPlan, ...] = ()
    """Empty for a round without a merge."""


class LedgerEntry(Stored):
    """How one client took part in one round."""

    client: str
    task: str
    asked: bool = True
    answered: bool
    counted: bool
    reason: str = ""
    """Why not counted: a code of the trainer or the registry, `Failed`, `Lost`, `Late`, `Flagged` or `Refused`."""
    commit: Commit | None = None
    num_examples: int | None = None
    flags: tuple[str, ...] = ()
    change_norm: dict[Kind, float] = Field(default_factory=dict)
    """How far its upload is from what it was given, by kind."""
    shares: dict[Kind, float] = Field(default_factory=dict)
    """Its share of all coefficients of the round's outputs, by kind."""
    started: tuple[str, ...] = added(())
    """What its update began without a predecessor: `client`, `cross.TASK`, `router.TASK`."""


class TaskMean(Stored):
    """What the counted clients of a task measured at one point. What a single one measured stays out of it."""

    task: str
    point: Literal["merged", "local"]
    round: int
    split: Literal["val", "test"]
    metric: str
    value: float
    """The mean over the clients, each of which counts once."""
    clients: int
    samples: int


class Ledger(Stored):
    schema_version: SchemaVersion = "pilot/v1"
    run: str
    round: int
    program: Program
    entries: tuple[LedgerEntry, ...]
    """Sorted by client."""
    task_means: tuple[TaskMean, ...] = added(())
    """What this round's clients measured, of tasks with at least two of them: what a model card may tell everybody."""


class GateCheck(Stored):
    """One mark of the gate, for one kind of adapter: what it compared, and who stands out."""

    kind: Kind
    mark: str
    """`norm_outlier`: how far an update is from what its client was given. `suspicious`: its mean distance to the
    updates of its own task."""
    values: dict[str, float]
    """By client; a client without another of its task has no distance to one."""
    median: float | None = None
    """None where fewer than three have a value: no crowd to stand out from."""
    limit: float | None = None
    """What lies above is flagged: the median times `admission.max_norm_ratio`."""
    flagged: tuple[str, ...] = ()


class GivenVerdict(Stored):
    """What a person decided about an update that was held, and why."""

    client: str
    verdict: Literal["count", "drop"]
    reason: str
    by: str = ""
    at: datetime | None = None


class RoundDocument(Stored):
    """A round as the API shows it."""

    run: str
    round: int
    program: Program
    state: str
    """`Assigned`, `Sealed`, `Planned`, `Merged`, `Published`, `Failed`."""
    ledger: Ledger | None = None
    plan: MergePlan | None = None
    outputs: dict[str, Commit] = Field(default_factory=dict)
    digests: dict[str, Digest] = Field(default_factory=dict)
    """Output repository to the digest of its adapter's file."""
    evaluations: dict[str, tuple[dict[str, object], ...]] = Field(default_factory=dict)
    gate: tuple[GateCheck, ...] = ()
    """What the gate looked at, once it was measured. For operators, and only where one round is asked for."""
    verdicts: tuple[GivenVerdict, ...] = ()
    """Where one round is asked for."""


class RoundPage(Stored):
    items: tuple[RoundDocument, ...]


class RoundOutline(Stored):
    """A round in a few words, for lists of them."""

    round: int
    program: Program
    state: str
    """As of a RoundDocument."""
    started_at: datetime
    ended_at: datetime | None = None
    asked: int
    answered: int = 0
    """Known from the ledger on: once the round is planned."""
    counted: int = 0
    left_out: dict[str, str] = Field(default_factory=dict)
    """Client to why it was not counted."""


class RoundOutlinePage(Stored):
    items: tuple[RoundOutline, ...]
    """In order."""


class VerifyReport(Stored):
    """What came of recomputing a round's merge from its stored coefficients."""

    run: str
    round: int
    verdict: str
    """`identical`, `different`, `inputs_deleted`, `nothing_merged`."""
    outputs: dict[str, bool] = Field(default_factory=dict)
    """Repository to whether the recomputed bytes are the published ones."""
    max_distance_error: float | None = None
    message: str = ""
