"""LLaVA as `config.json` describes it: what is and is not one, and the shapes of everything that Pilot trains.

Pure and without torch, so that a person's laptop can count what a GPU will hold. Names are those of modules inside the
model that transformers builds; files on disk use older ones, see `module_of`.
"""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pilot_proto.base import Stored

CONVERSION = "src/transformers/models/llava/convert_llava_weights_to_hf.py"
PROJECTOR = "model.multi_modal_projector"
LANGUAGE_TYPES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Language models whose layers are the seven linear ones that the shapes below assume."""

Shape = tuple[int, ...]


class NotLlava(ValueError):
    """The model is something else, or lies in another layout."""


class Vision(Stored):
    """A CLIP tower; the defaults are those of transformers, which config.json leaves out."""

    model_type: str = "clip_vision_model"
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    image_size: int = 224
    patch_size: int = 32
    num_channels: int = 3


class Language(Stored):
    """A Llama-like decoder; the defaults are those of transformers for `llama`, which is Vicuna-7B."""

    model_type: str = "llama"
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    vocab_size: int = 32000
    tie_word_embeddings: bool = False

    @property
    def head_width(self) -> int:
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def key_value_heads(self) -> int:
        return self.num_key_value_heads or self.num_attention_heads


_CLIP_L_336 = Vision(
    hidden_size=1024,
    intermediate_size=4096,
    num_hidden_layers=24,
    num_attention_heads=16,
    image_size=336,
    patch_size=14,
)


class Llava(Stored):
    """The parts of `config.json` that fix shapes."""

    vision_config: Vision = _CLIP_L_336
    text_config: Language = Language()
    multimodal_projector_bias: bool = True
    vision_feature_layer: int | tuple[int, ...] = -2
    vision_feature_select_strategy: str = "default"
    tie_word_embeddings: bool = False

    @property
    def num_image_tokens(self) -> int:
        """N, the visual tokens of one image."""
        patches = (self.vision_config.image_size // self.vision_config.patch_size) ** 2
        return patches if self.vision_feature_select_strategy == "default" else patches + 1

    @property
    def visual_width(self) -> int:
        """V, the width of one visual token: the hidden layers that are read stand side by side."""
        layers = self.vision_feature_layer
        return self.vision_config.hidden_size * (1 if isinstance(layers, int) else len(layers))

    @property
    def width(self) -> int:
        """C, the width of the language model."""
        return self.text_config.hidden_size

    def connector(self) -> dict[str, Shape]:
        """The tensors of one adapter psi, by their names in an adapter file."""
        shapes: dict[str, Shape] = {}
        for name, width in (("linear_1", self.visual_width), ("linear_2", self.width)):
            shapes[f"{name}.weight"] = (self.width, width)
            if self.multimodal_projector_bias:
                shapes[f"{name}.bias"] = (self.width,)
        return shapes

    def language_linears(self) -> dict[str, tuple[int, int]]:
        """(out, in) of every linear layer of the decoder's layers, by module name."""
        text = self.text_config
        queries, keys = text.num_attention_heads * text.head_width, text.key_value_heads * text.head_width
        h, f = text.hidden_size, text.intermediate_size
        one: dict[str, tuple[int, int]] = {
            "self_attn.q_proj": (queries, h),
            "self_attn.k_proj": (keys, h),
            "self_attn.v_proj": (keys, h),
            "self_attn.o_proj": (h, queries),
            "mlp.gate_proj": (f, h),
            "mlp.up_proj": (f, h),
            "mlp.down_proj": (h, f),
        }
        return {
            f"model.language_model.layers.{layer}.{name}": shape
            for layer in range(text.num_hidden_layers)
            for name, shape in one.items()
        }


def read_llava(config: Mapping[str, Any]) -> Llava:
    """The shapes that a decoded `config.json` fixes.

    Raises:
        NotLlava: another layout, another type of model, or a config that contradicts its type.
    """
    check_type(config)
    try:
        found = Llava.model_validate(dict(config))
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise NotLlava(f"config.json: {place}: {error.errors()[0]['msg']}") from error
    if found.text_config.model_type not in LANGUAGE_TYPES:
        raise NotLlava(
            f"the language model is of type {found.text_config.model_type!r}, whose shapes are not known here; known: "
            f"{', '.join(sorted(LANGUAGE_TYPES))}"
        )
    return found


def check_type(config: Mapping[str, Any]) -> None:
    """Raise NotLlava unless this is the config of a LLaVA model as transformers lays it out."""
    if "mm_vision_tower" in config or "LlavaLlamaForCausalLM" in (config.get("architectures") or []):
        raise NotLlava(
            f"it is in the original LLaVA layout (mm_vision_tower, model.mm_projector). Convert it with {CONVERSION} "
            "of the transformers repository, or take a converted model such as llava-hf/llava-1.5-7b-hf"
        )
    if config.get("model_type") != "llava":
        raise NotLlava(f"it holds a model of type {config.get('model_type')!r}; Pilot trains models of type 'llava'")


_ON_DISK = (
    (re.compile(r"^language_model\.model\."), "model.language_model."),
    (re.compile(r"^language_model\.lm_head\."), "lm_head."),
    (re.compile(r"^(?:model\.)?vision_tower\.(?:vision_model\.)?"), "model.vision_tower."),
    (re.compile(r"^multi_modal_projector\."), "model.multi_modal_projector."),
)


def module_of(stored: str) -> str:
    """The name in the model of a tensor on disk: `save_pretrained` writes the names of older versions."""
    for pattern, name in _ON_DISK:
        if pattern.match(stored):
            return pattern.sub(name, stored)
    return stored
