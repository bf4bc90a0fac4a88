"""What one client must do in one round. Immutable, addressed by digest; holds nothing volatile."""

from typing import Literal

from pydantic import Field

from pilot_proto.base import SchemaVersion, Stored, added
from pilot_proto.canonical import Commit, Digest
from pilot_proto.training import Program, Training


class FileRef(Stored):
    """Bytes."""

    digest: Digest
    size: int = Field(ge=0)


class AdapterRef(Stored):
    """A version of an adapter in the registry."""

    repo: str
    commit: Commit
    files: dict[str, FileRef]
    """Every file of the version, by path in the repository."""


class Inputs(Stored):
    """What the server hands to a client in a round."""

    text: AdapterRef | None = None
    connector: AdapterRef | None = None
    """The client's own: base, global, its task's, or merged for it, as the rule makes them."""
    task_connectors: dict[str, AdapterRef] = Field(default_factory=dict)
    """Stage 2: the published adapter of every task, the own one included."""


class ModelRef(Stored):
    name: str
    digest: Digest | None = None
    """Of the model's files; none only in round 0, which finds it out."""
    license: str | None = None
    """As the federation states it."""


class PrivateStateRef(Stored):
    """Which of a client's own results its private state is to be taken from."""

    update: Digest
    """The digest of the `update.json` of its last accepted update."""
    round: int
    program: Program


class EvaluationPoint(Stored):
    """Where to measure: `merged` is what a round published with that round's private state, `local` is the own
    model after its update."""

    point: Literal["merged", "local"]
    round: int


class EvaluationPlan(Stored):
    split: Literal["val", "test"]
    samples: int
    points: tuple[EvaluationPoint, ...]


class Assignment(Stored):
    schema_version: SchemaVersion = "pilot/v1"
    run: str
    round: int
    client: str
    task: str
    """Empty in round 0, whose client is `base`."""
    program: Program
    model: ModelRef
    tasks: tuple[str, ...]
    """All tasks of the run, sorted: the router's order."""
    inputs: Inputs = Inputs()
    private_state: PrivateStateRef | None = None
    keep_states: Literal["every-round", "last"] = added("every-round")
    """What the client's volume keeps of the run's earlier rounds."""
    training: Training
    seed: int
    """Of this client in this round; derived from the run's seed."""
    evaluation: EvaluationPlan | None = None


class AssignmentView(Stored):
    """The answer to a trainer that asks what to do."""

    uid: str
    """The run's uid: where on the state volume its work stands."""
    digest: Digest
    """Of the assignment's canonical bytes."""
    assignment: Assignment
