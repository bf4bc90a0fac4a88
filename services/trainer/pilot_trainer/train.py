"""The local update: AdamW on the adapters, a cosine rate, clipped gradients, exact accumulation.

The loop is `train`; a step is `Learner.step`. A step's loss is that of its whole effective batch: micro-batches (and
processes) carry shares that add up, see `batches.py`. The optimiser is fresh in every update unless its state is kept.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from pilot_model.encoder import Features
from pilot_model.model import autocast
from pilot_proto.training import Program, Training
from torch import Tensor, nn
from transformers import get_scheduler

from pilot_trainer.batches import Example, MicroBatch, micro_batches, plan_steps
from pilot_trainer.errors import BadConfiguration
from pilot_trainer.history import History
from pilot_trainer.micro_batch import NothingFits
from pilot_trainer.probe import cuda_memory, micro_batch_size
from pilot_trainer.student import GATES, Parts, Student

log = logging.getLogger(__name__)

_SMALLER = (
    "training.gradient_checkpointing: true, training.base_quantization: nf4, a smaller training.max_length or lora.r; "
    "or give the trainer a larger GPU. 'pilot estimate' says what each needs"
)


class Learner:
    """A student with its optimiser, at some step of its plan."""

    def __init__(
        self,
        accelerator: Accelerator,
        student: Student,
        program: Program,
        settings: Training,
        examples: Sequence[Example],
        features: Features,
        pad_token: int,
        seed: int,
    ) -> None:
        self.accelerator, self.settings = accelerator, settings
        self._examples, self._features, self._pad_token = examples, features, pad_token
        self.plan = plan_steps(len(examples), settings.num_train_epochs, settings.effective_batch_size, seed)
        self.trained = {name: p for name, p in student.named_parameters() if p.requires_grad}
        self.optimiser = _optimiser(self.trained, program, settings)
        self.scheduler: Any = _scheduler(self.optimiser, settings, len(self.plan))
        self.student = student
        self._module: Any = accelerator.prepare(student) if accelerator.num_processes > 1 else student
        self.history, self.done = History(), 0
        self.micro: int | None = None
        """Samples per forward pass, as found; where another process of this update found it, where to begin."""
        self._searched = False
        torch.manual_seed(seed)

    def step(self) -> None:
        """One effective batch, one update of the adapters."""
        parts = self.accumulate()
        self.accelerator.clip_grad_norm_(list(self.trained.values()), self.settings.max_grad_norm)
        self.optimiser.step()
        self.scheduler.step()
        self.optimiser.zero_grad(set_to_none=True)
        self._count(parts)

    def accumulate(self) -> list[Parts]:
        """Forward and backward over the micro-batches of the next step. -> the parts of each."""
        micros = self._micro_batches()
        self._say_what_is_approximate(len(micros))
        seen = [self._features(micro.images) if micro.images else None for micro in micros]
        shares = self._shares(micros, seen)
        done: list[Parts] = []
        for i, (micro, H_BNV) in enumerate(zip(micros, seen, strict=True)):
            with self._sync_only_last(i, len(micros)), autocast(self.accelerator.device, self.settings.precision):
                parts = self._module(micro.to(self.accelerator.device), H_BNV, shares)
                loss = self._for_all_processes(parts["total"])
            self.accelerator.backward(loss)
            done.append({name: value.detach() for name, value in parts.items()})
        return done

    def _say_what_is_approximate(self, num_micros: int) -> None:
        """Every loss adds up exactly over micro-batches but one, which is not the default."""
        over = self.settings.losses.difference_form.over
        if self.done == 0 and num_micros > 1 and over != "image":
            log.warning("difference loss per micro-batch", extra={"over": over, "micro_batches": num_micros})

    def _micro_batches(self) -> list[MicroBatch]:
        batch = [self._examples[i] for i in self.plan[self.done]]
        averaging = self.settings.losses.cross_entropy
        micros = micro_batches(batch, self.micro_size(), averaging, self._pad_token)
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        # Every process must take part equally often, so a missing share is one that weighs nothing.
        while len(micros) % world:
            micros.append(micros[0].weightless())
        return micros[rank::world]

    def micro_size(self) -> int:
        """Samples per forward pass. Raises BadConfiguration when a GPU cannot hold even one."""
        wanted = self.settings.micro_batch_size
        if wanted != "auto":
            return int(wanted)
        if not self._searched:
            self.micro = self._largest_that_fits()
            self._searched = True
            log.info("micro-batch size", extra={"size": self.micro, "of": self.settings.effective_batch_size})
        assert self.micro is not None
        return self.micro

    def _largest_that_fits(self) -> int:
        """The whole batch on a CPU; on a GPU the largest that a batch of the longest examples goes through with."""
        size: int = -(-self.settings.effective_batch_size // self.accelerator.num_processes)
        device = self.accelerator.device
        if device.type != "cuda":
            return size
        num_trained = sum(p.numel() for p in self.trained.values())
        # AdamW's two moments come with the first step; several processes exchange gradients through buffers.
        later = num_trained * (0 if self.optimiser.state else 8)
        later += num_trained * (4 if self.accelerator.num_processes > 1 else 0)
        try:
            found = micro_batch_size(size, self.micro, cuda_memory(device, later), self.trial)
        except NothingFits:
            found = 0
        # The smallest of all processes; their batches must be cut alike.
        found = int(self.accelerator.gather(torch.tensor([found], device=device)).min())
        if not found:
            raise BadConfiguration(
                f"not even one sample of this client fits into the GPU's memory beside the model: set {_SMALLER}"
            )
        return found

    def trial(self, size: int) -> None:
        """Two micro-batches of the longest samples, as in a step: the second meets the gradients of the first.

        Leaves nothing behind.
        """
        longest = sorted(self._examples, key=lambda e: len(e.encoded.ids))[-size:]
        (micro,) = micro_batches(longest, size, "token-mean", self._pad_token)
        device = self.accelerator.device
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                for _ in range(2):
                    with autocast(device, self.settings.precision):
                        H_BNV = self._features(micro.images) if micro.images else None
                        loss = self.student(micro.to(device), H_BNV, None)["total"]
                    loss.backward()
        finally:
            self.student.connector.take_trace()
            self.optimiser.zero_grad(set_to_none=True)

    def _shares(self, micros: Sequence[MicroBatch], seen: Sequence[Tensor | None]) -> Tensor | None:
        """D of the whole step, over all micro-batches and processes."""
        own = [
            micro.image_share * share
            for micro, H_BNV in zip(micros, seen, strict=True)
            if H_BNV is not None and (share := self.student.step_shares(H_BNV)) is not None
        ]
        if self.accelerator.num_processes == 1:
            return torch.stack(own).sum(0) if own else None
        width = len(self.student.gate_names)
        total = torch.stack(own).sum(0) if own else torch.zeros(1, width, device=self.accelerator.device)
        everywhere: Tensor = self.accelerator.reduce(total, "sum")
        return everywhere if width else None

    def _sync_only_last(self, i: int, count: int) -> AbstractContextManager[Any]:
        if i + 1 == count:
            return nullcontext()
        alone: AbstractContextManager[Any] = self.accelerator.no_sync(self._module)
        return alone

    def _for_all_processes(self, loss: Tensor) -> Tensor:
        """Processes average their gradients, but their losses are shares of a sum."""
        world = self.accelerator.num_processes
        if world == 1:
            return loss
        # Gradients are exchanged when each parameter has one: a batch without images must touch the connector too.
        touched = torch.stack([p.sum() for p in self.trained.values()]).sum()
        return torch.add(loss * world, touched, alpha=0.0)

    def _count(self, done: Sequence[Parts]) -> None:
        """Add the parts of all micro-batches and processes, and remember them."""
        names, width = self.student.loss_names, len(self.student.gate_names)
        sums = torch.zeros(len(names) + width, device=self.accelerator.device)
        for parts in done:
            sums += torch.cat(
                [
                    torch.stack([parts.get(name, sums.new_zeros(())) for name in names]),
                    parts.get(GATES, sums[:width] * 0),
                ]
            )
        if self.accelerator.num_processes > 1:
            sums = self.accelerator.reduce(sums, "sum")
        values = sums.tolist()
        self.history.add(dict(zip(names, values, strict=False)), values[len(names) :])
        self.done += 1


def train(learner: Learner, after_step: Callable[[Learner, float], None]) -> None:
    """Run the remaining steps; `after_step` gets the learner and samples per second, and may raise to stop."""
    learner.student.train()
    # The frozen encoder is part of the data: no dropout there, cached or not.
    learner.student.llava.model.vision_tower.eval()
    began, seen = time.monotonic(), 0
    while learner.done < len(learner.plan):
        seen += len(learner.plan[learner.done])
        learner.step()
        after_step(learner, seen / max(time.monotonic() - began, 1e-9))
    learner.student.eval()


def _optimiser(trained: Mapping[str, nn.Parameter], program: Program, settings: Training) -> torch.optim.AdamW:
    rates = settings.learning_rate.of(program)
    text = [p for name, p in trained.items() if "lora_" in name]
    connector = [p for name, p in trained.items() if "lora_" not in name]
    groups = [{"params": connector, "lr": rates.connector}, {"params": text, "lr": rates.text}]
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)


def _scheduler(optimiser: torch.optim.Optimizer, settings: Training, num_steps: int) -> Any:
    # Rounded down: rounding up, as transformers does, would spend the only step of a tiny update at rate zero.
    warmup = int(settings.warmup_ratio * num_steps)
    return get_scheduler(settings.lr_scheduler, optimiser, num_warmup_steps=warmup, num_training_steps=num_steps)
