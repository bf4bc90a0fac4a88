"""The search for the largest micro-batch, on memories that are made up."""

import pytest
import torch
from pilot_trainer.micro_batch import NothingFits, first_guess, halvings, largest_that_fits
from pilot_trainer.probe import Memory, micro_batch_size

MB = 1 << 20


def gpu(room: int, fixed: int, each: int, tried: list[int], raises: type[RuntimeError] = torch.OutOfMemoryError):
    """A device on which n samples need `fixed + n * each` bytes, and twice its room is all there is."""
    peaks = []

    def trial(size: int) -> None:
        tried.append(size)
        needed = fixed + size * each
        if needed > 2 * room:
            raise raises("CUDA out of memory. Tried to allocate 2.00 GiB")
        peaks.append(needed)

    def peak_of(work) -> int:
        work()
        return peaks[-1]

    return Memory(room, peak_of), trial


def test_sizes_are_the_batch_halved():
    assert halvings(16) == [16, 8, 4, 2, 1]
    assert halvings(12) == [12, 6, 3, 1]
    assert halvings(1) == [1]


@pytest.mark.parametrize(
    ("batch", "room", "one", "guess"),
    [
        (16, 1600, 100, 16),
        (16, 900, 100, 16),
        (16, 800, 100, 8),
        (16, 350, 100, 4),
        (16, 199, 100, 1),
        (12, 700, 100, 12),
        (12, 500, 100, 6),
        (16, 9, 0, 16),
        (16, 10, 100, 1),
    ],
)
def test_the_first_guess_is_rounded_up_to_a_size_that_there_is(batch, room, one, guess):
    assert first_guess(batch, room, one) == guess


@pytest.mark.parametrize(("limit", "size"), [(99, 16), (16, 16), (15, 8), (7, 4), (2, 2), (1, 1)])
def test_the_largest_that_fits_is_found_from_above(limit, size):
    tried = []

    def fits(n: int) -> bool:
        tried.append(n)
        return n <= limit

    assert largest_that_fits(16, 16, fits) == size
    assert tried == [n for n in halvings(16) if n >= size]


def test_nothing_above_the_guess_is_tried():
    assert largest_that_fits(16, 4, lambda n: True) == 4
    with pytest.raises(NothingFits):
        largest_that_fits(16, 16, lambda n: False)


@pytest.mark.parametrize(
    ("room", "fixed", "each", "size"),
    [
        (1700 * MB, 50 * MB, 100 * MB, 16),
        (1000 * MB, 50 * MB, 100 * MB, 8),
        (450 * MB, 50 * MB, 100 * MB, 4),
        (200 * MB, 50 * MB, 100 * MB, 1),
    ],
)
def test_the_search_ends_at_the_largest_size_within_the_room(room, fixed, each, size):
    tried = []
    memory, trial = gpu(room, fixed, each, tried)
    assert micro_batch_size(16, None, memory, trial) == size
    assert fixed + size * each <= room
    assert len(tried) <= 4


@pytest.mark.parametrize("raises", [torch.OutOfMemoryError, RuntimeError])
def test_running_out_of_memory_halves_the_size_and_does_not_end_the_update(raises):
    tried = []
    # What one sample needs says nothing of sixteen here: the guess is far too high.
    memory, trial = gpu(1000 * MB, -1600 * MB, 400 * MB, tried, raises)
    assert micro_batch_size(16, 16, memory, trial) == 4
    assert tried == [16, 8, 4]


def test_another_error_is_not_taken_for_a_lack_of_memory():
    memory, _ = gpu(MB, 0, 1, [])

    def broken(_: int) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        micro_batch_size(16, None, memory, broken)


def test_one_sample_too_large_is_said_rather_than_tried_for_ever():
    tried = []
    memory, trial = gpu(100 * MB, 150 * MB, MB, tried)
    with pytest.raises(NothingFits):
        micro_batch_size(16, None, memory, trial)
    assert tried == [1]


def test_what_an_earlier_process_found_is_where_the_search_begins():
    tried = []
    memory, trial = gpu(1000 * MB, 0, 100 * MB, tried)
    assert micro_batch_size(16, 4, memory, trial) == 4
    assert tried == [4]
