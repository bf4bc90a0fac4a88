"""Greedy answers of a model as it stands."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pilot_model.encoder import Features
from pilot_model.model import Base, as_image_features, autocast

BATCH_TOKENS = 24_000
"""Prompt and answer tokens of one batch: all hundred of a tiny model at once, about thirty of a 7B's."""


def answers(
    base: Base,
    features: Features,
    prompts: Sequence[Sequence[int]],
    images: Sequence[Path | None],
    max_new_tokens: int,
    precision: str,
    check: Callable[[], None] = lambda: None,
) -> list[str]:
    """One answer per prompt, special tokens and outer blanks removed. `check` may raise between batches to stop."""
    texts = [""] * len(prompts)
    for rows in batches([len(prompt) for prompt in prompts], max_new_tokens):
        check()
        seen = [image for i in rows if (image := images[i]) is not None]
        H_BNV = features(seen) if seen else None
        made = _generate(base, [prompts[i] for i in rows], H_BNV, max_new_tokens, precision)
        for i, text in zip(rows, made, strict=True):
            texts[i] = text
    return texts


def batches(lengths: Sequence[int], max_new_tokens: int) -> list[list[int]]:
    """Rows that are answered together: alike lengths, so that there is little padding, and at most BATCH_TOKENS."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    groups: list[list[int]] = []
    for i in order:
        if not groups or (len(groups[-1]) + 1) * (lengths[i] + max_new_tokens) > BATCH_TOKENS:
            groups.append([])
        groups[-1].append(i)
    return groups


@torch.no_grad()
def _generate(
    base: Base, prompts: Sequence[Sequence[int]], H_BNV: Tensor | None, max_new_tokens: int, precision: str
) -> list[str]:
    pad = pad_token(base)
    ids_BL, mask_BL = left_padded(prompts, pad)
    with autocast(base.device, precision):
        seen = {} if H_BNV is None else {"image": as_image_features(base.llava.model.multi_modal_projector(H_BNV))}
        out_BL = base.llava.generate(
            input_ids=ids_BL.to(base.device),
            attention_mask=mask_BL.to(base.device),
            mm_encoder_outputs=seen,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            pad_token_id=pad,
        )
    decoded = base.tokenizer.batch_decode(out_BL[:, ids_BL.shape[1] :], skip_special_tokens=True)
    return [text.strip() for text in decoded]


def pad_token(base: Base) -> int:
    """The padding token, or the end mark where a tokenizer has none."""
    token = base.tokenizer.pad_token_id
    return int(base.tokenizer.eos_token_id if token is None else token)


def left_padded(prompts: Sequence[Sequence[int]], pad_token: int) -> tuple[Tensor, Tensor]:
    """Ids and attention mask (B, L) for generation."""
    length = max(map(len, prompts))
    ids = torch.tensor([[pad_token] * (length - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (length - len(p)) + [1] * len(p) for p in prompts])
    return ids, mask
