"""Floating-point operations of a training step, for the share of a device's peak (MFU). Pure.

A multiplication and an addition are two operations. One token through a linear layer of P numbers costs 2P forward, 2P
for the gradient of its input and 2P for the gradient of its weights. Frozen layers of the LLM cost 4P (no gradient of
weights), LoRA 6P, the connector's trained branches 4P and 6P (their features need no gradient), frozen branches 2P.
Attention costs 2 L q forward for each token and layer, half of it masked, and twice that backward. What checkpointing
computes again is not counted: it is the price, not the work.
"""

from pilot_cli.estimate.memory import Sample, num_vision
from pilot_cli.estimate.numbers import count, numbers, text_tensors
from pilot_proto.llava import Llava
from pilot_proto.training import Program, Training

PEAK_TFLOPS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "A10": 125.0, "L4": 121.0}
"""Dense bf16, from the vendor's data sheets."""


def step_flops(
    llava: Llava, training: Training, program: Program, tasks: int, sample: Sample, *, encoding: bool
) -> float:
    """Of one sample; `encoding`: the vision tower runs too, because its features are not kept."""
    tokens = sample.tokens(llava, training.max_length)
    text = llava.text_config
    linears = sum(wide * narrow for wide, narrow in llava.language_linears().values())
    decoder = tokens * (4 * linears + 6 * count(text_tensors(llava, training.lora)))
    queries = text.num_attention_heads * text.head_width
    attention = text.num_hidden_layers * tokens * 6 * tokens * queries
    head = 4 * text.vocab_size * text.hidden_size * sample.answer_tokens
    return decoder + attention + head + _connector(llava, training, program, tasks) + encoding * _tower(llava)


def _connector(llava: Llava, training: Training, program: Program, tasks: int) -> float:
    held = numbers(llava, training, program, tasks)
    first, second = llava.visual_width * llava.width, llava.width**2
    trained = held.branches_trained * (4 * first + 6 * second)
    frozen = held.connector_frozen / (first + second) * 2 * (first + second)
    return llava.num_image_tokens * (trained + frozen)


def _tower(llava: Llava) -> float:
    clip = llava.vision_config
    seen = (clip.image_size // clip.patch_size) ** 2 + 1
    return 2.0 * num_vision(llava) * seen + clip.num_hidden_layers * 4 * seen * seen * clip.hidden_size


def peak_flops(device: str) -> float | None:
    """The peak of a device by its name; None for one that is not in the table."""
    for name, tflops in PEAK_TFLOPS.items():
        if name in device.replace("-", " ").split() or f" {name} " in f" {device} ":
            return tflops * 1e12
    return None
