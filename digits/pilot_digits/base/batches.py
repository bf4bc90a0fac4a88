"""Batches for pre-training: questions and answers as token ids, pictures as pixels in -1..1."""

from collections.abc import Sequence

import numpy as np
import torch

from pilot_digits.generic import Query
from pilot_digits.scenes import Scene
from pilot_digits.vocabulary import EOS, PAD, TOKEN_IDS

IGNORED = -100


def encode(text: str) -> list[int]:
    """Token ids; every word of the digit world is known."""
    return [TOKEN_IDS[word] for word in text.split()]


def text_batch(pairs: Sequence[tuple[str, str]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels [B, L] of (question, answer) pairs, padded on the right. Only answers carry loss."""
    rows = [(encode(question), [*encode(answer), TOKEN_IDS[EOS]]) for question, answer in pairs]
    length = max(len(question) + len(answer) for question, answer in rows)
    ids_bl = torch.full((len(rows), length), TOKEN_IDS[PAD])
    labels_bl = torch.full((len(rows), length), IGNORED)
    for row, (question, answer) in enumerate(rows):
        start, end = len(question), len(question) + len(answer)
        ids_bl[row, :end] = torch.tensor(question + answer)
        labels_bl[row, start:end] = torch.tensor(answer)
    return ids_bl, labels_bl


def pixel_batch(scenes: Sequence[Scene]) -> torch.Tensor:
    """Grey pixels [B, 1, 32, 32] in -1..1, as the processor gives them."""
    grey_bhw = torch.from_numpy(np.stack([scene.pixels for scene in scenes]))
    return grey_bhw[:, None].float() / 127.5 - 1


def query_batch(queries: Sequence[Query]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pixels, token ids and labels of a batch of queries."""
    pairs = [(query.question, query.answer) for query in queries]
    return (pixel_batch([query.scene for query in queries]), *text_batch(pairs))
