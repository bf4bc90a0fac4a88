"""The text adapter: every contact with peft. W = W_0 + (lora_alpha / r) B A, B: out x r, A: r x in.

Tensors leave and enter under peft's own key form, in float32, so that `PeftModel.from_pretrained` loads an upload.
"""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from pilot_proto.targets import BadTarget, matched, pattern_of
from pilot_proto.training import Lora
from torch import Tensor, nn

from pilot_model.errors import DoesNotFit


class TextAdapter:
    """LoRA layers inside a LLaVA model. Attaching freezes everything else."""

    def __init__(self, llava: nn.Module, settings: Lora) -> None:
        """Raises DoesNotFit when the settings adapt nothing in this model, or more than its language model."""
        check_targets(llava, settings.target_modules)
        config = LoraConfig(
            r=settings.r,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.lora_dropout,
            target_modules=pattern_of(settings.target_modules),
            bias="none",
            task_type="CAUSAL_LM",
        )
        with warnings.catch_warnings():
            # peft asks transformers through a name that transformers renamed.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            self._peft: Any = get_peft_model(llava, config)

    def parameters(self) -> dict[str, nn.Parameter]:
        """Trainable parameters by their name in the model."""
        return {name: p for name, p in self._peft.named_parameters() if "lora_" in name}

    def tensors(self) -> dict[str, Tensor]:
        """A copy under peft's key form: float32, on the CPU."""
        # peft's tensors share storage with the model, so a snapshot must be a copy.
        state = get_peft_model_state_dict(self._peft, save_embedding_layers=False)
        return {name: t.detach().float().cpu().clone().contiguous() for name, t in sorted(state.items())}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Set all values. Raises DoesNotFit when a tensor is missing, unexpected or of another shape."""
        shapes = {name: tuple(t.shape) for name, t in self.tensors().items()}
        given = {name: tuple(t.shape) for name, t in tensors.items()}
        wrong = sorted(name for name in shapes.keys() | given.keys() if shapes.get(name) != given.get(name))
        if wrong:
            name = wrong[0]
            raise DoesNotFit(
                f"the text adapter does not fit this model and LoRA setting: {len(wrong)} tensors differ, first "
                f"{name}: expected {shapes.get(name, 'none')}, got {given.get(name, 'none')}"
            )
        # It never raises for names, and lists base weights as missing; the names were compared above.
        result = set_peft_model_state_dict(self._peft, dict(tensors))
        assert not result.unexpected_keys
        assert not [name for name in result.missing_keys if "lora_" in name]

    def fold(self) -> None:
        """Add the product to the weights that it adapts, and leave the model without any LoRA layer."""
        self._peft.merge_and_unload(progressbar=False, safe_merge=True)

    def start(self, seed: int) -> dict[str, Tensor]:
        """A shared initialisation: A uniform in +-1/sqrt(fan-in), B zero; the same on every device."""
        generator = torch.Generator().manual_seed(seed)
        return {name: _start(name, t, generator) for name, t in sorted(self.tensors().items())}


def check_targets(llava: nn.Module, target: str) -> None:
    """Raise DoesNotFit unless a target matches linear layers of the language model, and nothing else."""
    try:
        matched(target, [name for name, module in llava.named_modules() if isinstance(module, nn.Linear)])
    except BadTarget as error:
        raise DoesNotFit(str(error)) from error


def adapter_config(settings: Lora, model_name: str) -> dict[str, Any]:
    """`adapter_config.json` with what defines the adapter, and nothing of this machine or library version."""
    return {
        "base_model_name_or_path": model_name,
        "bias": "none",
        "inference_mode": True,
        "lora_alpha": settings.lora_alpha,
        "lora_dropout": settings.lora_dropout,
        "peft_type": "LORA",
        "r": settings.r,
        "target_modules": pattern_of(settings.target_modules),
        "task_type": "CAUSAL_LM",
    }


def _start(name: str, tensor: Tensor, generator: torch.Generator) -> Tensor:
    if ".lora_B." in name:
        return torch.zeros(tensor.shape)
    bound = 1 / math.sqrt(tensor.shape[1])
    return torch.rand(tensor.shape, generator=generator) * 2 * bound - bound
