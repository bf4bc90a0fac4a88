"""Three phases of pre-training on the pool `base`: see, read, point.

    see    the vision tower names the digit in each patch
    read   everything learns to list, to read and to say what is at a point; texts show the answers' formats
    point  the same, and corners of digits as coordinates

The clients' questions, captions and boxes are never shown with a picture: a base that has seen the tasks saturates,
and every method of tuning would look alike. One thread, fixed seeds: the same torch build on the same kind of CPU
gives the same bytes.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import LlavaForConditionalGeneration

from pilot_digits.base.architecture import WIDTH, patch_features
from pilot_digits.base.batches import pixel_batch, query_batch, text_batch
from pilot_digits.base.formats import format_text
from pilot_digits.base.objectives import answer_logits, answer_loss, exactly_right, patch_classes
from pilot_digits.generic import GENERIC_KINDS, Query, corner_query, reading_query
from pilot_digits.handwriting import NUM_CLASSES, pools

log = logging.getLogger(__name__)

_HELD_OUT = 500
_REPORT_EVERY = 100


@dataclass(frozen=True, kw_only=True)
class Phase:
    """`steps` of one-cycle AdamW. `texts` formatted texts join each batch, weighed by `text_weight`."""

    steps: int
    batch: int
    learning_rate: float
    warm_up: float = 0.3
    texts: int = 0
    text_weight: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the weights, besides the architecture."""

    seed: int = 0
    num_queries: int = 24_000
    see: Phase = Phase(steps=500, batch=128, learning_rate=2e-3)
    read: Phase = Phase(steps=1600, batch=64, learning_rate=1.5e-3, texts=16, text_weight=0.3)
    point: Phase = Phase(steps=3200, batch=64, learning_rate=1.2e-3, warm_up=0.1, texts=8, text_weight=0.2)


def pretrain(model: LlavaForConditionalGeneration, recipe: Recipe) -> None:
    """Trains `model` in place."""
    rng = np.random.default_rng(recipe.seed)
    pool = pools()["base"]
    reading = [reading_query(rng, pool) for _ in range(recipe.num_queries)]
    corners = [corner_query(rng, pool) for _ in range(recipe.num_queries // 2)]
    _see(model, reading, recipe.see, rng)
    _answer(model, [reading], recipe.read, rng)
    _answer(model, [reading, corners], recipe.point, rng)


def _see(
    model: LlavaForConditionalGeneration, queries: Sequence[Query], phase: Phase, rng: np.random.Generator
) -> None:
    head = nn.Linear(WIDTH, NUM_CLASSES + 1)
    parameters = [*model.model.vision_tower.parameters(), *head.parameters()]
    pixels = pixel_batch([query.scene for query in queries])
    classes_bn = torch.from_numpy(np.stack([patch_classes(query.scene.digits) for query in queries]))
    for step, update in enumerate(_one_cycle(parameters, phase), start=1):
        chosen = rng.integers(0, len(queries) - _HELD_OUT, phase.batch)
        logits = head(patch_features(model, pixels[chosen]))
        loss = F.cross_entropy(logits.flatten(0, 1), classes_bn[chosen].flatten())
        update(loss)
        if step % _REPORT_EVERY == 0:
            with torch.no_grad():
                held = head(patch_features(model, pixels[-_HELD_OUT:])).argmax(-1)
            truth = classes_bn[-_HELD_OUT:]
            right = (held == truth)[truth > 0].float().mean()
            log.info("see %d: loss %.3f, digit patches right %.3f", step, loss.item(), right.item())


def _answer(
    model: LlavaForConditionalGeneration,
    sources: Sequence[Sequence[Query]],
    phase: Phase,
    rng: np.random.Generator,
) -> None:
    for step, update in enumerate(_one_cycle(list(model.parameters()), phase), start=1):
        queries = [
            source[index]
            for source in sources
            for index in rng.integers(0, len(source) - _HELD_OUT, phase.batch // len(sources))
        ]
        pixels, ids, labels = query_batch(queries)
        image = model.model.multi_modal_projector(patch_features(model, pixels))
        loss = answer_loss(answer_logits(model, image, ids), labels)
        ids, labels = text_batch([format_text(rng) for _ in range(phase.texts)])
        nothing = torch.zeros(phase.texts, 0, WIDTH)
        text_loss = answer_loss(answer_logits(model, nothing, ids), labels)
        update(loss + phase.text_weight * text_loss)
        if step % _REPORT_EVERY == 0:
            held_out = [query for source in sources for query in source[-_HELD_OUT:]]
            losses = loss.item(), text_loss.item()
            log.info("answer %d: loss %.3f, text %.3f, right %s", step, *losses, _shares(model, held_out))


def _one_cycle(parameters: list[nn.Parameter], phase: Phase) -> Iterator["_Update"]:
    """`phase.steps` updates, each to be called once with the loss of its step."""
    optimiser = torch.optim.AdamW(parameters, lr=phase.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, phase.learning_rate, phase.steps, pct_start=phase.warm_up)
    for _ in range(phase.steps):
        yield _Update(parameters, optimiser, schedule)


@dataclass(frozen=True)
class _Update:
    parameters: list[nn.Parameter]
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler

    def __call__(self, loss: torch.Tensor) -> None:
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.schedule.step()


@torch.no_grad()
def _shares(model: LlavaForConditionalGeneration, queries: Sequence[Query]) -> dict[str, float]:
    """Share of exactly right answers by kind of query."""
    pixels, ids, labels = query_batch(queries)
    image = model.model.multi_modal_projector(patch_features(model, pixels))
    right = exactly_right(answer_logits(model, image, ids), labels).numpy()
    kinds = np.array([query.question.split()[0] for query in queries])
    return {kind: round(float(right[kinds == kind].mean()), 3) for kind in GENERIC_KINDS if kind in kinds}
