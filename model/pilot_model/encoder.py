"""Vision features: what the frozen encoder makes of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from pilot_model.model import Base, visual_features
from pilot_model.pixels import pixels_of


class Features(Protocol):
    """H of some images."""

    def __call__(self, images: Sequence[Path]) -> Tensor:
        """(B, N, V) on the model's device."""
        ...


class Encoder:
    """Features computed when asked for."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._dtype: torch.dtype = next(base.llava.model.vision_tower.parameters()).dtype

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    def __call__(self, images: Sequence[Path]) -> Tensor:
        pixels = pixels_of(images, self._base.processor.image_processor)
        return visual_features(self._base.llava, pixels.to(self._base.device, self._dtype))
