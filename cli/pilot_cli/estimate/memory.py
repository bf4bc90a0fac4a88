"""What a step holds in a GPU's memory. Pure.

Weights, gradients and AdamW's two moments are counted; so are the activations that autograd keeps from the forward to
the backward pass, tensor by tensor for the modules as they are (Llama's layer in transformers 5, peft's LoRA layer,
our connector): within 3 % of what torch really keeps, as a test measures. Korthikanti et al., "Reducing activation
recomputation in large transformer models" (arXiv 2205.05198), count in the same way for a trained GPT.

    h width of the LLM, f of its MLP, q and k widths of queries and keys, a heads, e bytes of a number (bf16 2, fp32 4)
    I  the inputs' widths of the linear layers that LoRA adapts, summed;  n their number;  r LoRA's rank

    a layer keeps of one token (bf16)   8h norms + (2 + 1) I LoRA's inputs and dropout's mask + 6f MLP
                                        + 2 (q + 2k) + 2q + 4a attention + 2 r n + 8
    with checkpointing                  e h, and one layer whole while it is computed again

Not counted: the driver's own memory, workspaces, short-lived tensors and fragments; RUNTIME_BYTES stands for them.
"""

from dataclasses import dataclass

from pilot_proto.llava import Llava
from pilot_proto.targets import matched
from pilot_proto.training import Program, Quantization, Training

from pilot_cli.estimate.numbers import F32_BYTES, Numbers, numbers

RUNTIME_BYTES = 1_000_000_000
# bf16 weights in bytes; LLM.int8() adds one F32 scale per row; NF4 one byte per block of 64 and an F32 per 256 blocks.
_QUANTIZED_BYTES: dict[Quantization, float] = {"int8": 1.0, "nf4": 0.5 + 1 / 64 + 4 / (64 * 256)}


@dataclass(frozen=True)
class Sample:
    """The longest sample, which the memory must hold."""

    text_tokens: int
    answer_tokens: int

    def tokens(self, llava: Llava, max_length: int) -> int:
        """Positions in the language model: an image and the text, cut at `max_length`."""
        return min(max_length, llava.num_image_tokens + self.text_tokens)


@dataclass(frozen=True)
class Memory:
    """Bytes."""

    base: int
    """The frozen model without its projector."""
    adapters: int
    """Connector and LoRA in F32, and under bf16 a copy of what is trained."""
    gradients: int
    moments: int
    per_sample: int
    """Activations of one sample."""

    @property
    def fixed(self) -> int:
        return self.base + self.adapters + self.gradients + self.moments + RUNTIME_BYTES

    def total(self, micro_batch: int) -> int:
        """With that many samples in a forward pass."""
        return self.fixed + micro_batch * self.per_sample

    def largest(self, room: int, batch: int) -> int:
        """The largest of batch, batch // 2, ... that `room` bytes hold; 0 when not even one sample fits."""
        size = batch
        while size and self.total(size) > room:
            size //= 2
        return size


def memory(llava: Llava, training: Training, program: Program, tasks: int, sample: Sample) -> Memory:
    """Of one client's step on a GPU."""
    held = numbers(llava, training, program, tasks)
    copies = 2 * held.trained if training.precision == "bf16" else 0
    return Memory(
        base=base_bytes(llava, training),
        adapters=F32_BYTES * held.kept + copies,
        gradients=F32_BYTES * held.trained,
        moments=2 * F32_BYTES * held.trained,
        per_sample=kept_bytes(llava, training, program, tasks, sample, mask_bytes=1),
    )


def base_bytes(llava: Llava, training: Training) -> int:
    """The frozen weights without the projector, whose place a connector takes."""
    e = _bytes(training)
    linears = llava.language_linears().values()
    in_linears = sum(wide * narrow for wide, narrow in linears)
    others = e * (num_language(llava) - in_linears + num_vision(llava))
    if training.base_quantization == "none":
        return others + e * in_linears
    scales = sum(4 * wide for wide, _ in linears) if training.base_quantization == "int8" else 0
    return others + scales + round(_QUANTIZED_BYTES[training.base_quantization] * in_linears)


def num_language(llava: Llava) -> int:
    """Numbers of the language model with its head."""
    text = llava.text_config
    embeddings = text.vocab_size * text.hidden_size * (1 if llava.tie_word_embeddings else 2)
    linears = sum(wide * narrow for wide, narrow in llava.language_linears().values())
    return embeddings + linears + (2 * text.num_hidden_layers + 1) * text.hidden_size


def num_vision(llava: Llava) -> int:
    """Numbers of a CLIP tower."""
    clip = llava.vision_config
    h, f = clip.hidden_size, clip.intermediate_size
    patches = (clip.image_size // clip.patch_size) ** 2
    embeddings = h + clip.num_channels * clip.patch_size**2 * h + (patches + 1) * h
    layer = 4 * (h * h + h) + 2 * h * f + f + h + 4 * h
    return embeddings + clip.num_hidden_layers * layer + 4 * h


def kept_bytes(
    llava: Llava,
    training: Training,
    program: Program,
    tasks: int,
    sample: Sample,
    *,
    mask_bytes: int,
    recomputing: bool = True,
) -> int:
    """What autograd keeps of one sample. `mask_bytes`: of dropout for one number, 1 on a GPU and 4 on a CPU.

    recomputing: with checkpointing, count the layer that the backward pass has in hand.
    """
    tokens = sample.tokens(llava, training.max_length)
    layers, width = llava.text_config.num_hidden_layers, llava.width
    layer = tokens * layer_bytes(llava, training, tokens, mask_bytes)
    if training.gradient_checkpointing:
        in_layers = layers * tokens * _bytes(training) * width + (layer if recomputing else 0)
    else:
        in_layers = layers * layer
    head = 4 * tokens * width + sample.answer_tokens * 4 * llava.text_config.vocab_size
    return in_layers + head + connector_bytes(llava, training, program, tasks)


def layer_bytes(llava: Llava, training: Training, tokens: int, mask_bytes: int) -> int:
    """What one decoder layer keeps of one token."""
    text, e = llava.text_config, _bytes(training)
    h, f, heads = text.hidden_size, text.intermediate_size, text.num_attention_heads
    q, k = heads * text.head_width, text.key_value_heads * text.head_width
    kept = 8 * h + 3 * e * f + e * (q + 2 * k) + 8
    kept += 6 * heads * tokens if training.attn_implementation == "eager" else e * q + 4 * heads
    return kept + _lora_bytes(llava, training, mask_bytes)


def _lora_bytes(llava: Llava, training: Training, mask_bytes: int) -> int:
    linears, e = llava.language_linears(), _bytes(training)
    first = [name for name in matched(training.lora.target_modules, linears) if ".layers.0." in name]
    inputs = {name.rsplit(".", 1)[1]: linears[name][1] for name in first}
    dropout = training.lora.lora_dropout > 0
    if training.precision == "bf16" or dropout:
        own = e * sum(inputs.values())
    else:
        # Without a cast and without dropout neighbours share their input, and o_proj the attention's output.
        shared = {"k_proj": "q_proj", "v_proj": "q_proj", "up_proj": "gate_proj"}
        own = e * sum(v for n, v in inputs.items() if n != "o_proj" and shared.get(n) not in inputs)
    return own + (mask_bytes * sum(inputs.values()) if dropout else 0) + e * training.lora.r * len(inputs)


def connector_bytes(llava: Llava, training: Training, program: Program, tasks: int) -> int:
    """What a connector and its losses keep of one image."""
    held: Numbers = numbers(llava, training, program, tasks)
    e, N, V, C = _bytes(training), llava.num_image_tokens, llava.visual_width, llava.width
    kept = N * (e * V + 2 * e * C * held.branches_trained)
    if program == "stage-1" and held.branches_trained == 2:
        # L_d in F32: both branches centred, normalised and multiplied; two Grams.
        kept += 24 * N * C + 2 * 4 * N * N
    if program == "stage-2":
        kept += N * (e * C * tasks + (4 * V if training.precision == "bf16" else 0))
    return kept


def _bytes(training: Training) -> int:
    return 2 if training.precision == "bf16" else 4
