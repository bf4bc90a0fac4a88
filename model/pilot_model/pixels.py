"""Images as the vision encoder reads them: padded to a square with the mean colour, as LLaVA-1.5 does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pilot_model.errors import ImageError


def pixels_of(paths: Sequence[Path], image_processor: Any) -> Tensor:
    """(B, 3, h, w). Raises ImageError naming the image that cannot be decoded."""
    colour = mean_colour(image_processor)
    squares = [padded_to_square(decoded(path), colour) for path in paths]
    return torch.as_tensor(image_processor(images=squares, return_tensors="pt")["pixel_values"])


def mean_colour(image_processor: Any) -> tuple[int, ...]:
    """The colour that the encoder's normalisation takes to zero."""
    return tuple(int(mean * 255) for mean in image_processor.image_mean)


def decoded(path: Path) -> Image.Image:
    """The image in a file, in RGB. Raises ImageError naming it when it cannot be decoded."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as error:
        raise ImageError(f"image {path} cannot be decoded: {error}") from error


def padded_to_square(image: Image.Image, colour: tuple[int, ...]) -> Image.Image:
    """The image in the middle of the smallest square that holds it."""
    width, height = image.size
    if width == height:
        return image
    side = max(width, height)
    square = Image.new("RGB", (side, side), colour)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square
