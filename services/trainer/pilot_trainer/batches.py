"""Which samples make a step, and the tensors of a micro-batch. Pure.

A step is one effective batch. It is cut into micro-batches that carry their share of its averages, so that summed
losses and gradients are those of the whole batch, however it is cut:

    token weight   from all answer tokens of the effective batch (losses.token_weight)
    image share    images of the micro-batch / images of the effective batch
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from pilot_model.conversation import IGNORED, Encoded
from torch import Tensor

from pilot_trainer.losses import token_weight


@dataclass(frozen=True)
class Example:
    """A tokenised sample and its image."""

    encoded: Encoded
    image: Path | None


@dataclass(frozen=True)
class MicroBatch:
    """Right-padded ids (B, L); where the next token is an answer's (B, L); those tokens (M) and their weights (M)."""

    ids_BL: Tensor
    predicts_BL: Tensor
    targets_M: Tensor
    weights_M: Tensor
    images: tuple[Path, ...]
    image_share: float

    def to(self, device: torch.device) -> "MicroBatch":
        """The same on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("ids_BL", "predicts_BL", "targets_M", "weights_M")}
        return replace(self, **moved)

    def weightless(self) -> "MicroBatch":
        """The same tensors, counting for nothing."""
        return replace(self, weights_M=torch.zeros_like(self.weights_M), image_share=0.0)


def plan_steps(num_examples: int, epochs: int, batch_size: int, seed: int) -> list[list[int]]:
    """The examples of each step: every epoch a new order, its last batch as small as it comes."""
    generator = torch.Generator().manual_seed(seed)
    steps = []
    for _ in range(epochs):
        order = torch.randperm(num_examples, generator=generator).tolist()
        steps += [order[i : i + batch_size] for i in range(0, num_examples, batch_size)]
    return steps


def micro_batches(
    batch: Sequence[Example], size: int, averaging: Literal["token-mean", "answer-mean"], pad_token: int
) -> list[MicroBatch]:
    """An effective batch in micro-batches of at most `size`, alike lengths together."""
    weights = token_weight(averaging, [example.encoded.num_answer_tokens for example in batch])
    num_images = sum(example.image is not None for example in batch)
    order = (
        sorted(range(len(batch)), key=lambda i: len(batch[i].encoded.ids)) if size < len(batch) else range(len(batch))
    )
    groups = [order[i : i + size] for i in range(0, len(batch), size)]
    return [
        _collated([batch[i] for i in group], [weights[i] for i in group], num_images, pad_token) for group in groups
    ]


def _collated(examples: Sequence[Example], weights: Sequence[float], num_images: int, pad_token: int) -> MicroBatch:
    length = max(len(example.encoded.ids) for example in examples)
    ids = torch.full((len(examples), length), pad_token)
    labels = torch.full((len(examples), length), IGNORED)
    for row, example in enumerate(examples):
        n = len(example.encoded.ids)
        ids[row, :n] = torch.tensor(example.encoded.ids)
        labels[row, :n] = torch.tensor(example.encoded.labels)
    # Position i predicts token i + 1.
    following = torch.cat([labels[:, 1:], torch.full((len(examples), 1), IGNORED)], dim=1)
    predicts = following != IGNORED
    weights_BL = torch.tensor(weights)[:, None].expand_as(following)
    images = tuple(example.image for example in examples if example.image is not None)
    return MicroBatch(
        ids, predicts, following[predicts], weights_BL[predicts], images, len(images) / max(num_images, 1)
    )
