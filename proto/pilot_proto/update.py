"""What a client says about its local update: `update.json`, one file of the update's version."""

from typing import Literal

from pydantic import Field

from pilot_proto.base import SchemaVersion, Stored
from pilot_proto.canonical import Digest
from pilot_proto.names import Kind
from pilot_proto.training import Program


class LossSummary(Stored):
    first: float
    last: float
    mean: float


class EvaluationResult(Stored):
    """One metric at one point on one split."""

    point: Literal["merged", "local"]
    round: int
    split: Literal["val", "test"]
    metric: str
    value: float
    """The mean of `scores`, in the metric's own unit: a share for exact-match and iou, CIDEr-D's 0..10."""
    samples: int
    scores: tuple[float, ...]
    """Per sample in the data's order, for paired comparisons. They leave the client: see what-leaves-a-client."""
    detail: dict[str, float | str] = Field(default_factory=dict)
    """Further figures, such as mean IoU or the tokenizer of CIDEr."""


class UploadedAdapter(Stored):
    digest: Digest
    num_parameters: int


class PreparedModel(Stored):
    """Round 0 only: what the base model turned out to be."""

    digest: Digest
    name: str


class Update(Stored):
    schema_version: SchemaVersion = "pilot/v1"
    run: str
    round: int
    client: str
    task: str
    program: Program
    assignment: Digest
    model: PreparedModel
    num_examples: int = Field(ge=0)
    """n_k: training samples used in this update."""
    dropped: int = 0
    """Bad records left out, at most one in a hundred."""
    truncated: int = 0
    """Samples cut at max_length."""
    steps: int = 0
    losses: dict[str, LossSummary] = Field(default_factory=dict)
    """By part: `total`, `cross_entropy`, `difference`, `balance`, `z`."""
    router: dict[str, float] = Field(default_factory=dict)
    """Stage 2: the mean probability of each task's adapter."""
    adapters: dict[Kind, UploadedAdapter] = Field(default_factory=dict)
    private_state: Digest | None = None
    """Of `state.safetensors`, which stays with the client."""
    evaluations: tuple[EvaluationResult, ...] = ()


UPDATE_FILE = "update.json"
STATE_FILE = "state.safetensors"
