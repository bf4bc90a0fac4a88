"""What the base model is trained on: the class of each patch, then the words of each answer.

    L_patch  = mean over patches of  -log p(class of the patch)         class 0 is "no digit", 1..10 the digits
    L_answer = mean over answer tokens of  -log p(token | image, what came before)

A text without an image has the same loss with no patches in front: it teaches how answers are written, never what
a picture shows.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from transformers import LlavaForConditionalGeneration

from pilot_digits.base.architecture import PATCH
from pilot_digits.base.batches import IGNORED
from pilot_digits.scenes import CANVAS, Digit
from pilot_digits.vocabulary import BOS, TOKEN_IDS

_LEAST_COVER = 0.25  # of a patch; a digit that covers less does not name it


def patch_classes(digits: Sequence[Digit]) -> NDArray[np.int64]:
    """The class of each of the 16 patches, row by row: the digit that covers most of it, or 0."""
    side = CANVAS // PATCH
    classes = np.zeros((side, side), np.int64)
    best = np.full((side, side), _LEAST_COVER * PATCH * PATCH)
    edges = np.arange(side) * PATCH
    for digit in digits:
        wide = np.clip(np.minimum(digit.right, edges + PATCH) - np.maximum(digit.left, edges), 0, None)
        high = np.clip(np.minimum(digit.bottom, edges + PATCH) - np.maximum(digit.top, edges), 0, None)
        cover = high[:, None] * wide[None, :]
        classes[cover > best] = digit.number + 1
        best = np.maximum(best, cover)
    return classes.ravel()


def answer_logits(model: LlavaForConditionalGeneration, image_bnd: torch.Tensor, ids_bl: torch.Tensor) -> torch.Tensor:
    """Logits [B, L, V]; position l predicts ids[:, l] from `<bos>`, the image tokens and ids[:, :l].

    Padding on the right needs no mask: attention is causal.
    """
    text = model.model.language_model
    embed = text.get_input_embeddings()
    bos_b1d = embed(torch.full((len(ids_bl), 1), TOKEN_IDS[BOS]))
    inputs = torch.cat([bos_b1d, image_bnd, embed(ids_bl)], dim=1)
    hidden = text(inputs_embeds=inputs, use_cache=False).last_hidden_state
    logits_blv: torch.Tensor = model.lm_head(hidden[:, image_bnd.shape[1] : -1])
    return logits_blv


def answer_loss(logits_blv: torch.Tensor, labels_bl: torch.Tensor) -> torch.Tensor:
    """L_answer."""
    return F.cross_entropy(logits_blv.flatten(0, 1), labels_bl.flatten(), ignore_index=IGNORED)


def exactly_right(logits_blv: torch.Tensor, labels_bl: torch.Tensor) -> torch.Tensor:
    """For each row [B]: would greedy decoding give exactly this answer?

    It would if and only if each answer token is the likeliest after the right beginning.
    """
    return ((logits_blv.argmax(-1) == labels_bl) | (labels_bl == IGNORED)).all(dim=1)
