"""How many samples go through the model at once, when the run leaves it to the machine. Values in, decision out.

Sizes are the batch halved again and again (16, 8, 4, 2, 1), so that micro-batches are as even as they can be. A first
guess comes from what one sample needed; from there the search only goes down, because every size that does not fit
costs a failed attempt. One size is found per update and kept to its end.
"""

from collections.abc import Callable

MARGIN = 0.08
"""The share of the memory that stays free: fragments, and samples that are padded further than those of the probe."""


class NothingFits(Exception):
    """Not even one sample goes through."""


def halvings(batch: int) -> list[int]:
    """The sizes to choose from, the largest first."""
    sizes = [batch]
    while sizes[-1] > 1:
        sizes.append(sizes[-1] // 2)
    return sizes


def first_guess(batch: int, room: int, one: int) -> int:
    """The smallest size that is not below what `room` bytes hold of samples that need `one` byte each.

    One sample alone carries what does not grow with their number, so the guess by its size is rather too low.
    """
    estimate = room // max(one, 1)
    return min(size for size in halvings(batch) if size >= min(estimate, batch) or size == batch)


def largest_that_fits(batch: int, guess: int, fits: Callable[[int], bool]) -> int:
    """The largest size up to the guess that fits.

    Raises:
        NothingFits: when one sample does not.
    """
    for size in halvings(batch):
        if size <= guess and fits(size):
            return size
    raise NothingFits
