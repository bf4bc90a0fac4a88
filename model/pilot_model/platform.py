"""What this machine offers for loading a base model, and why it refuses the rest."""

from importlib.util import find_spec
from typing import Any

import torch
from pilot_proto.llava import PROJECTOR
from pilot_proto.training import Attention, Quantization
from transformers import BitsAndBytesConfig

from pilot_model.errors import ModelError

# bitsandbytes would also take the tower and the projector, whose output every client's connector is trained on.
UNQUANTIZED = ["model.vision_tower", PROJECTOR, "lm_head"]


def attention_options(attention: Attention, precision: str, device: torch.device) -> dict[str, Any]:
    """Arguments of `from_pretrained`. Raises ModelError naming what is lacking."""
    if attention == "auto":
        return {}
    if attention == "flash_attention_2":
        lacking = [
            reason
            for bad, reason in (
                (device.type != "cuda", f"this machine offers the device {device.type!r}, and it runs on a GPU only"),
                (precision == "fp32", "precision is fp32, and it computes in bf16 only"),
                (find_spec("flash_attn") is None, "the package flash-attn is not installed"),
            )
            if bad
        ]
        if lacking:
            raise ModelError(f"attn_implementation flash_attention_2: {'; '.join(lacking)}. Use auto, sdpa or eager")
    return {"attn_implementation": attention}


def quantization_options(quantization: Quantization, device: torch.device) -> dict[str, Any]:
    """Arguments of `from_pretrained`. Raises ModelError naming what is lacking."""
    if quantization == "none":
        return {}
    if device.type != "cuda":
        raise ModelError(
            f"base_quantization {quantization} needs a GPU, and this machine offers {device.type!r}; use none"
        )
    if find_spec("bitsandbytes") is None:
        raise ModelError(
            f"base_quantization {quantization} needs the package bitsandbytes, which is not installed: "
            "pip install 'pilot-model[quantized]', in the trainer's image; or use none"
        )
    return {"quantization_config": quantization_config(quantization), "device_map": {"": device}}


def quantization_config(quantization: Quantization) -> BitsAndBytesConfig:
    """int8: LLM.int8() with 8-bit weights. nf4: 4-bit normal float with double quantisation, as QLoRA."""
    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=UNQUANTIZED)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=UNQUANTIZED,
    )
