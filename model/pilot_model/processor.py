"""Images and text as training prepared them, behind the interface that users of transformers know."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from transformers import LlavaProcessor

from pilot_model.errors import ImageError
from pilot_model.pixels import decoded, mean_colour, padded_to_square


class PersonalProcessor(LlavaProcessor):  # type: ignore[misc]
    """LLaVA's processor with what training did: images padded to a square, one start mark, answers after padding.

    `processor(images=..., text=..., return_tensors="pt")`: images are PIL images or files; a batch is padded on the
    left. A text that its template began with the start mark gets no second one.
    """

    @classmethod
    def of_folder(cls, folder: Path) -> "PersonalProcessor":
        """From a folder with the files of a LLaVA processor."""
        processor = cls.from_pretrained(folder, local_files_only=True)
        tokenizer = processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return processor  # type: ignore[no-any-return]

    def __call__(self, images: Any = None, text: str | Sequence[str] | None = None, **options: Any) -> Any:
        """Inputs for `generate`.

        Raises ImageError for an image that cannot be decoded, ValueError when images and marks differ in number.
        """
        if images is not None:
            colour = mean_colour(self.image_processor)
            images = [padded_to_square(_picture(image), colour) for image in _flat(images)] or None
        texts = [text] if isinstance(text, str) else list(text or ())
        bos = self.tokenizer.bos_token
        if bos is not None and texts and all(each.startswith(bos) for each in texts):
            options.setdefault("add_special_tokens", False)
        if len(texts) > 1:
            options.setdefault("padding", True)
        return super().__call__(images=images, text=texts or None, **options)


def _flat(images: Any) -> Iterator[Any]:
    if isinstance(images, list | tuple):
        for each in images:
            yield from _flat(each)
    else:
        yield images


def _picture(image: Any) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if isinstance(image, str | Path):
        return decoded(Path(image))
    raise ImageError(f"an image is a {type(image).__name__}; give a PIL image or the path of a file")
