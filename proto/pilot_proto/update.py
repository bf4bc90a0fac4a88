"""What a client says about its local update: `update.json`, one file of the update's version."""

from typing import Literal

from pydantic import Field

from pilot_proto.base import SchemaVersion, Stored, added
from pilot_proto.canonical import Digest
from pilot_proto.names import Kind
from pilot_proto.training import Program, Quantization


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


class Execution(Stored):
    """With which settings the update was computed, where the run leaves them to the machine or they change its bits."""

    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]
    micro_batch_size: int | None = None
    """Samples per forward pass; none where nothing was trained."""
    gradient_checkpointing: bool
    attn_implementation: str
    """As it was resolved: never `auto`."""
    base_quantization: Quantization


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
    execution: Execution | None = None
    """None in round 0."""
    losses: dict[str, LossSummary] = Field(default_factory=dict)
    """By part: `total`, `cross_entropy`, `difference`, `balance`, `z`."""
    router: dict[str, float] = Field(default_factory=dict)
    """Stage 2: the mean probability of each task's adapter."""
    started: tuple[str, ...] = added(())
    """What this update began without a predecessor in the client's private state: `client`, `cross.TASK`,
    `router.TASK` (a row of the router)."""
    adapters: dict[Kind, UploadedAdapter] = Field(default_factory=dict)
    private_state: Digest | None = None
    """Of `state.safetensors`, which stays with the client."""
    evaluations: tuple[EvaluationResult, ...] = ()


UPDATE_FILE = "update.json"
STATE_FILE = "state.safetensors"
