"""What a personal model is asked for: answers, and the embeddings of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pilot_model.conversation import prompt_text
from pilot_model.processor import PersonalProcessor

Picture = Image.Image | Path | str

MAX_NEW_TOKENS = 64
"""Where the client's own limit is not known."""


@torch.no_grad()
def answer(
    model: Any,
    processor: PersonalProcessor,
    prompt: str,
    image: Picture | None = None,
    max_new_tokens: int | None = None,
) -> str:
    """The greedy answer to one prompt, without special tokens. Raises ImageError for an unreadable image."""
    text = prompt_text(processor, prompt, image is not None)
    inputs = processor(images=image, text=text, return_tensors="pt").to(model.device, model.dtype)
    limit = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}
    out_BL = model.generate(**inputs, **limit)
    return processor.tokenizer.decode(  # type: ignore[no-any-return]
        out_BL[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    ).strip()


@torch.no_grad()
def embeddings(model: Any, processor: PersonalProcessor, images: Sequence[Picture]) -> list[Tensor]:
    """What the language model sees of each image: the connector's output, (N, C) each, on the model's device."""
    pixels = processor(images=list(images), return_tensors="pt")["pixel_values"]
    features = model.model.get_image_features(pixels.to(model.device, model.dtype))
    return list(features.pooler_output)
