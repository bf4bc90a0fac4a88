"""A run: what somebody wants (`spec`), and what has been seen (`status`)."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pilot_proto.base import Request, Seq, Stored
from pilot_proto.names import Name
from pilot_proto.training import Program, Training

TrainingProgram = Literal["plain", "stage-1", "stage-2"]


def _check_quorum(quorum: int | str) -> int | str:
    if isinstance(quorum, int):
        if quorum < 1:
            raise ValueError(f"quorum {quorum} is below 1")
        return quorum
    number = quorum.removesuffix("%")
    if not quorum.endswith("%") or not number.isdigit() or not 1 <= int(number) <= 100:
        raise ValueError(f"quorum {quorum!r} is neither a count nor a percentage from '1%' to '100%'")
    return quorum


Quorum = Annotated[int | str, AfterValidator(_check_quorum)]


Metric = Literal["euclidean", "euclidean-delta", "product"]
"""What a distance between two adapters is (A20)."""


class Rule(Request):
    """How the adapters of one kind are merged. Options that a rule does not read are refused."""

    rule: str
    """`none`, `mean`, `per-task-mean`, `nearest`, `same-task`; the aggregator names those it offers."""
    neighbours: int | None = Field(default=None, ge=0)
    """M, the number of nearest clients (nearest)."""
    metric: Metric | None = None
    combine: Literal["convex", "literal", "literal-renorm", "size-distance", "fedavg-topm"] | None = None
    """How eq. 12 is read (nearest, A19)."""
    weight_cap: float | None = Field(default=None, gt=0, le=1)
    """The most that one neighbour may weigh among the neighbours (nearest)."""


class Merge(Request):
    connector: Rule = Rule(rule="per-task-mean")
    text: Rule = Rule(rule="nearest", neighbours=6, metric="euclidean", combine="convex", weight_cap=1.0)
    max_examples: int | None = Field(default=None, ge=1)
    """A cap on the declared n_k, so that no client outweighs the others by claiming (A28)."""


class Participation(Request):
    """Who must answer, and how long the others wait."""

    quorum: Quorum = "80%"
    """Of the clients asked: a count, or a percentage (rounded up)."""
    quorum_per_task: int = Field(default=1, ge=0)
    start_deadline_s: int = Field(default=3600, ge=1)
    """An attempt that has not started by then is lost."""
    stall_s: int = Field(default=1800, ge=1)
    """A running attempt without progress for this long is lost."""
    deadline_s: int = Field(default=86400, ge=1)
    """The round seals by then, or fails if it has no quorum."""
    grace_s: int = Field(default=600, ge=0)
    """How long a round with a quorum waits for those still at work."""
    late: Literal["drop"] = "drop"
    attempts: int = Field(default=3, ge=1)
    """Jobs per assignment. Evictions cost none."""
    evictions: int = Field(default=10, ge=0)
    """Evictions per assignment that are forgiven."""


class Admission(Request):
    on_flag: Literal["count", "drop", "hold"] = "count"
    """What happens to an update that stands out from its peers; `hold` waits for a person's verdict."""
    max_norm_ratio: float = Field(default=10.0, gt=1)
    """Flag an update whose change is this many times larger than the median of the round."""


class Evaluation(Request):
    split: Literal["val", "test"] = "test"
    samples: int = Field(default=200, ge=0)
    """Per client; 0 switches evaluation off."""


class Retention(Request):
    raw_updates: Literal["after-publish", "until-run-ends", "forever"] = "until-run-ends"
    private_states: Literal["every-round", "last"] = "every-round"
    """What a client's own volume keeps of the run: every accepted state, so that any round can be exported and gone on
    from, or only the newest accepted one."""


class StartFrom(Request):
    """Begin from a published round of another run."""

    run: Name
    round: int = Field(ge=0)


class RunSpec(Request):
    """What somebody wants."""

    model: str
    """A base model that the federation offers."""
    method: Literal["pilot", "local", "fedavg"] = "pilot"
    """A preset: the values that every field below starts from."""
    rounds: Seq[TrainingProgram] = Field(min_length=1)
    """What each round's local update executes, in order."""
    clients: Literal["all"] | Seq[Name] = "all"
    training: Training = Training()
    merge: Merge = Merge()
    participation: Participation = Participation()
    admission: Admission = Admission()
    evaluation: Evaluation = Evaluation()
    retention: Retention = Retention()
    advance: Literal["auto", "manual"] = "auto"
    """`manual`: each round waits for a trigger."""
    start_from: StartFrom | None = None


class Metadata(Request):
    name: Name


class Run(Request):
    """The document that people write: `pilot run -f`."""

    apiVersion: Literal["pilot/v1alpha1"]
    kind: Literal["Run"]
    metadata: Metadata
    spec: RunSpec


Phase = Literal["Preparing", "Training", "Merging", "Evaluating", "Succeeded", "Failed", "Cancelled"]
TERMINAL: frozenset[Phase] = frozenset({"Succeeded", "Failed", "Cancelled"})


class Condition(Stored):
    """One thing that is true of a run beside its phase; several may hold at once."""

    type: str
    status: Literal["True", "False"] = "True"
    reason: str
    message: str = ""


class Progress(Stored):
    """Where an attempt is. Lost with the aggregator, and no harm done."""

    step: int = 0
    total_steps: int = 0
    stage: str = ""
    """What the trainer is doing: `loading` model or data, `fetching` inputs, `preparing` (round 0), `evaluating`,
    `training`, `saving` its result or `uploading` it."""
    loss: float | None = None
    losses: dict[str, float] = Field(default_factory=dict)
    samples_per_s: float | None = None
    eta_s: float | None = None


class StageTime(Request):
    """How long a trainer did one thing, by a clock that only goes forward."""

    stage: str = Field(min_length=1, max_length=40)
    """As in a Progress."""
    seconds: float = Field(ge=0, allow_inf_nan=False)


class ClientStatus(Stored):
    """What is known of one client in the current round."""

    name: str
    task: str
    state: str
    """`Waiting`, `Queued`, `Running`, `Answered`, `Failed`, `Lost`, `Held`, `Excluded`."""
    attempt: int = 0
    reason: str = ""
    message: str = ""
    progress: Progress | None = None


class RunStatus(Stored):
    """What has been seen."""

    uid: str
    phase: Phase
    conditions: tuple[Condition, ...] = ()
    round: int = 0
    """The round at work, or the last one."""
    program: Program = "prepare"
    published: int = -1
    """The last published round; -1 before round 0."""
    through: int = 0
    """Rounds up to this one may start (`advance: manual`, pause, trigger)."""
    total_rounds: int
    """Training rounds; evaluation is one more."""
    created_at: datetime
    ended_at: datetime | None = None
    tasks: dict[str, int] = Field(default_factory=dict)
    """Task to how many of the run's clients have it."""
    clients: tuple[ClientStatus, ...] = ()
    """Of the round at work; a listing of runs leaves them out."""
    started: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """With `start_from`: the parts that each client began without a predecessor, in any round so far."""


class RunView(Stored):
    """A run as the API shows it."""

    apiVersion: str = "pilot/v1alpha1"
    kind: str = "Run"
    metadata: dict[str, str]
    spec: RunSpec
    status: RunStatus


class RunPage(Stored):
    items: tuple[RunView, ...]
    next: str | None = None


class Trigger(Request):
    """Let rounds up to this one start. The largest ever sent counts."""

    through: int | Literal["end"]


class Verdict(Request):
    """What a person decided about an update that was held."""

    verdict: Literal["count", "drop"]
    reason: str = Field(min_length=1)


class ClientStart(Stored):
    """Where one client of a run with `start_from` begins."""

    client: str
    task: str
    program: Program
    """Of its first round: who has no stage 1 behind it does that first, whatever the run's first round is."""
    connector: str
    """The repository of the adapter that it is handed."""
    text: str
    private_state: str
    """Such as `stage-2 of round 3`; empty when it has none."""


class Continuation(Stored):
    """What a run with `start_from` takes over, and what is new in it."""

    run: Name
    round: int
    new_clients: tuple[str, ...] = ()
    new_tasks: tuple[str, ...] = ()
    left_clients: tuple[str, ...] = ()
    """Of the source, and not of this run."""
    left_tasks: tuple[str, ...] = ()
    clients: tuple[ClientStart, ...] = ()


class DryRun(Stored):
    """What a run would be: expanded, with what a person should know before starting it."""

    run: Run
    clients: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    continues: Continuation | None = None
    """With `start_from`: who and what is new, and from what everybody starts."""


class CommitReport(Request):
    """A trainer's hint that its update is in the registry."""

    commit: str
    timings: Seq[StageTime] = Field(default=(), max_length=50)
    """What its process did, in order. Kept with the attempt, for people; nothing is decided by it."""


class FailureReport(Request):
    """A trainer's word on why it gave up."""

    code: str
    message: str
