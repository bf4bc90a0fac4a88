"""Asks a saved base model, the way anybody would: stock classes, its own processor, greedy generation, no network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from pilot_digits.generic import GENERIC_KINDS, Query, corner_query, reading_query
from pilot_digits.handwriting import PoolName, pools
from pilot_digits.scenes import Scene

_BATCH = 100


class BaseModel:
    """A model and its processor, loaded from a folder."""

    def __init__(self, folder: Path) -> None:
        self.model = LlavaForConditionalGeneration.from_pretrained(folder, local_files_only=True).eval()
        self.processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        self.processor.tokenizer.padding_side = "left"  # an answer must follow its prompt, not the padding

    def prompt(self, instruction: str) -> str:
        """The chat template applied to one picture and `instruction`."""
        content = [{"type": "image"}, {"type": "text", "text": instruction}]
        text: str = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        return text

    def answers(self, asked: Sequence[tuple[Scene, str]], *, max_new_tokens: int) -> list[str]:
        """The greedy answer to each (scene, instruction)."""
        starts = range(0, len(asked), _BATCH)
        return [text for at in starts for text in self._batch(asked[at : at + _BATCH], max_new_tokens)]

    @torch.inference_mode()
    def _batch(self, asked: Sequence[tuple[Scene, str]], max_new_tokens: int) -> list[str]:
        inputs = self.processor(
            text=[self.prompt(instruction) for _, instruction in asked],
            images=[Image.fromarray(scene.pixels) for scene, _ in asked],
            padding=True,
            return_tensors="pt",
        )
        made = self.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
        answers = made[:, inputs["input_ids"].shape[1] :]
        texts: list[str] = self.processor.batch_decode(answers, skip_special_tokens=True)
        return texts


def held_out_queries(num: int, *, seed: int, pool: PoolName = "val") -> list[Query]:
    """Generic queries, two reading ones to a corner, about handwriting that the base model never saw."""
    rng = np.random.default_rng(seed)
    draw = (reading_query, reading_query, corner_query)
    return [draw[index % len(draw)](rng, pools()[pool]) for index in range(num)]


def generic_shares(model: BaseModel, queries: Sequence[Query]) -> dict[str, float]:
    """Share of exactly right answers, by kind of query."""
    answers = model.answers([(query.scene, query.question) for query in queries], max_new_tokens=5)
    kinds = np.array([query.question.split()[0] for query in queries])
    right = np.array([answer == query.answer for answer, query in zip(answers, queries, strict=True)])
    return {kind: float(right[kinds == kind].mean()) for kind in GENERIC_KINDS if kind in kinds}
