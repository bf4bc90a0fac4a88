"""How a client trains: the settings that reach the trainer, with the paper's values as defaults.

Each field that answers a question the paper leaves open names its row (A1-A34) in docs/math.md.
"""

from typing import Literal

from pydantic import Field

from pilot_proto.base import Request, added
from pilot_proto.targets import Target

Program = Literal["prepare", "plain", "stage-1", "stage-2", "evaluate"]
"""What a round's local update executes."""

Attention = Literal["auto", "sdpa", "eager", "flash_attention_2"]
"""How attention is computed; `auto` leaves it to transformers."""

Quantization = Literal["none", "int8", "nf4"]
"""In what the frozen linear layers of the LLM are held."""


class LearningRate(Request):
    connector: float = Field(gt=0)
    text: float = Field(gt=0)


class LearningRates(Request):
    """One pair per training program (A26)."""

    plain: LearningRate = LearningRate(connector=2e-5, text=2e-5)
    stage_1: LearningRate = Field(default=LearningRate(connector=2e-5, text=2e-5), alias="stage-1")
    stage_2: LearningRate = Field(default=LearningRate(connector=4e-5, text=4e-5), alias="stage-2")

    def of(self, program: Program) -> LearningRate:
        """The pair for a training program."""
        return {"plain": self.plain, "stage-1": self.stage_1, "stage-2": self.stage_2}[program]


class Lora(Request):
    """The text adapter: W = W_0 + (lora_alpha / r) B A."""

    r: int = Field(default=64, ge=1)
    lora_alpha: int = Field(default=128, ge=1)
    lora_dropout: float = Field(default=0.05, ge=0, lt=1)
    target_modules: Target = "language-linear"
    """Which linear layers of the LLM (A25): all seven of each layer, `attention`, `query-value`, or a regular
    expression over whole module names."""


class ClientAdapter(Request):
    """psi^s, which never leaves the client."""

    init: Literal["copy", "random", "zero-output", "none"] = "copy"
    """Where psi^s starts (A4); `none` trains one branch only (A31)."""
    jitter: float = Field(default=1e-3, ge=0)
    """Relative noise on a copy. Without it psi^t and psi^s receive equal gradients and never separate."""
    scale: Literal["sum", "halve"] = "sum"
    """`halve` starts both branches at half output, so that the sum is psi_0 (A5)."""
    in_stage_2: Literal["add-frozen", "add-trained", "drop"] = "add-frozen"
    """What becomes of psi^s in stage 2 (A8)."""


class Router(Request):
    """phi, the linear router of CT-MoA. Trained, kept at the client, never uploaded."""

    per: Literal["token", "image"] = "token"
    """One mixture per token, or one per image from mean features (A6)."""
    gating: Literal["dense", "top-k"] = "dense"
    """`dense` as eq. 6; `top-k` renormalises over the k largest (A7)."""
    top_k: int = Field(default=1, ge=1)
    init: Literal["normal", "zeros", "local"] = "normal"
    """`local` biases the start towards the own task (A11)."""
    init_std: float = Field(default=0.02, ge=0)
    life: Literal["kept", "fresh"] = "kept"
    """Kept across rounds, or initialised again at each stage 2 (A10)."""


class Connector(Request):
    """The connector between vision encoder and LLM."""

    client_adapter: ClientAdapter = ClientAdapter()
    router: Router = Router()
    cross_init: Literal["own-stage-1", "aggregated"] = "own-stage-1"
    """Where the cross-task adapters psi^c start (A17)."""
    cross_life: Literal["kept", "fresh"] = "kept"
    """Kept across rounds, or started again from the own task adapter (A14)."""
    own_init: Literal["aggregated", "own"] = "aggregated"
    """What psi^t_1 is at the start of stage 2: the task's published adapter, or the client's own (A16)."""


class DifferenceForm(Request):
    """How L_d = ||(x^t)^T x^s||_F^2 is normalised (A1-A3)."""

    centre: bool = True
    rows: Literal["l2", "none", "frobenius"] = "l2"
    reduction: Literal["sum-over-n2", "mean-over-c2", "sum"] = "sum-over-n2"
    over: Literal["image", "batch", "pooled"] = "image"


class Losses(Request):
    """L = L_ce + difference L_d in stage 1; L_ce + balance L_b + z L_z in stage 2."""

    cross_entropy: Literal["token-mean", "answer-mean"] = "token-mean"
    """Averaged over all answer tokens, or per answer first as eq. 2 reads (A34)."""
    difference: float = Field(default=0.1, ge=0)
    balance: float = Field(default=0.1, ge=0)
    z: float = Field(default=0.01, ge=0)
    difference_form: DifferenceForm = DifferenceForm()
    balance_over: Literal["batch", "image"] = "batch"
    """Averages D, R and L_z over all tokens of a batch, or per image first (A24)."""


class FeatureCache(Request):
    """Frozen vision features kept in the client's state volume."""

    max_bytes: int = Field(default=20 << 30, ge=0)
    """0 turns it off; so does a volume on which they do not fit, and the trainer says so."""


class Training(Request):
    """Everything a client's local update depends on, apart from its data and its inputs."""

    num_train_epochs: int = Field(default=1, ge=1)
    effective_batch_size: int = Field(default=16, ge=1)
    micro_batch_size: Literal["auto"] | int = "auto"
    """Samples per forward pass; accumulation is derived. `auto`: the largest that fits a GPU, all of them on a CPU."""
    max_length: int = Field(default=2048, ge=8)
    learning_rate: LearningRates = LearningRates()
    lr_scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    optimiser_state: Literal["reset", "kept"] = "reset"
    """Fresh AdamW moments in every round, or carried in the private state (A30)."""
    lora: Lora = Lora()
    connector: Connector = Connector()
    losses: Losses = Losses()
    precision: Literal["bf16", "fp32"] = "bf16"
    """Of autocast and the frozen base. What is trained and what is uploaded is always F32."""
    gradient_checkpointing: bool = False
    """The LLM's activations are computed again in the backward pass: less memory, a third more time."""
    attn_implementation: Attention = added("auto")
    base_quantization: Quantization = added("none")
    """Of the frozen linear layers of the LLM only. Needs a GPU and the extra `pilot-model[quantized]`."""
    feature_cache: FeatureCache = FeatureCache()
    checkpoint_every_s: int = Field(default=300, ge=1)
    seed: int = Field(default=0, ge=0)
