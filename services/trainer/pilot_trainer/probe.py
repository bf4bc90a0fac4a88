"""What a forward and a backward pass need of a GPU's memory, found by doing them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate.utils.memory import should_reduce_batch_size

from pilot_trainer.micro_batch import MARGIN, NothingFits, first_guess, largest_that_fits

Trial = Callable[[int], None]
"""Forward and backward over that many of the longest samples, as training does them; raises when memory runs out."""


@dataclass(frozen=True)
class Memory:
    """A device's memory as the search sees it: bytes that may be used, and the peak of one trial."""

    room: int
    peak_of: Callable[[Callable[[], None]], int]


def micro_batch_size(batch: int, known: int | None, memory: Memory, trial: Trial) -> int:
    """The largest micro-batch of `batch` samples that fits. `known`: what an earlier process of this update found.

    Raises:
        NothingFits: when one sample does not.
    """

    def needed(size: int) -> int | None:
        try:
            return memory.peak_of(lambda: trial(size))
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or should_reduce_batch_size(error):
                return None
            raise

    def fits(size: int) -> bool:
        peak = needed(size)
        return peak is not None and peak <= memory.room

    if known is not None:
        return largest_that_fits(batch, known, fits)
    one = needed(1)
    if one is None or one > memory.room:
        raise NothingFits
    return largest_that_fits(batch, first_guess(batch, memory.room, one), lambda size: size == 1 or fits(size))


def cuda_memory(device: torch.device, reserved: int) -> Memory:
    """A GPU's memory beyond what is allocated now; `reserved` bytes are kept for what comes later."""
    free, _ = torch.cuda.mem_get_info(device)
    held = torch.cuda.memory_allocated(device)
    idle = torch.cuda.memory_reserved(device) - held

    def peak_of(work: Callable[[], None]) -> int:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        try:
            work()
            return torch.cuda.max_memory_allocated(device) - held
        finally:
            torch.cuda.empty_cache()

    return Memory(room=int((free + idle) * (1 - MARGIN)) - reserved, peak_of=peak_of)
