"""The architecture of `digits-tiny`: LLaVA, exactly, at 0.7 M parameters.

While it is pre-trained its tower reads one grey channel; what is saved reads three, like every stock CLIP.
"""

import torch
from torch import nn
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from pilot_digits.scenes import CANVAS
from pilot_digits.vocabulary import BOS, EOS, IMAGE, PAD, TOKEN_IDS, VOCABULARY

WIDTH = 96
PATCH = 8
NUM_IMAGE_TOKENS = (CANVAS // PATCH) ** 2
_LAYERS, _HEADS = 3, 4


def config(num_channels: int) -> LlavaConfig:
    """The configuration, for 1 (pre-training) or 3 (as saved) input channels."""
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        image_size=CANVAS,
        patch_size=PATCH,
        num_channels=num_channels,
    )
    text = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=WIDTH,
        intermediate_size=240,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        num_key_value_heads=_HEADS,
        max_position_embeddings=128,
        pad_token_id=TOKEN_IDS[PAD],
        bos_token_id=TOKEN_IDS[BOS],
        eos_token_id=TOKEN_IDS[EOS],
        tie_word_embeddings=True,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=TOKEN_IDS[IMAGE],
        vision_feature_layer=-1,  # three layers: the last but one, LLaVA's default, would waste a third of them
        vision_feature_select_strategy="default",
        image_seq_length=NUM_IMAGE_TOKENS,
        tie_word_embeddings=True,
    )


def grey_model() -> LlavaForConditionalGeneration:
    """A fresh model with one input channel, from torch's current random state."""
    return LlavaForConditionalGeneration(config(num_channels=1)).train()


def patch_features(model: LlavaForConditionalGeneration, pixels_bchw: torch.Tensor) -> torch.Tensor:
    """What the connector reads: the last layer's patch tokens [B, 16, 96], without the class token."""
    tokens_bnd: torch.Tensor = model.model.vision_tower(pixels_bchw).last_hidden_state
    return tokens_bnd[:, 1:]


def three_channels(grey: LlavaForConditionalGeneration) -> LlavaForConditionalGeneration:
    """The same function of a grey picture, read from three equal channels."""
    state = dict(grey.state_dict())
    name = "model.vision_tower.embeddings.patch_embedding.weight"
    state[name] = state[name].repeat(1, 3, 1, 1) / 3
    model = LlavaForConditionalGeneration(config(num_channels=3))
    model.load_state_dict(state)
    model.tie_weights()
    return model.eval()


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Parameters by part; tied embeddings count once."""
    parts = {"vision": "vision_tower", "connector": "multi_modal_projector", "text": "language_model"}
    named = list(model.named_parameters())
    return {part: sum(p.numel() for name, p in named if key in name) for part, key in parts.items()}
