"""Questions about a scene, with one-word answers. Scored by exact match."""

from collections.abc import Sequence

import numpy as np

from pilot_digits.handwriting import NUM_CLASSES
from pilot_digits.scenes import Digit, in_order
from pilot_digits.vocabulary import DIGIT_WORDS

QUESTION_KINDS = ("how-many", "which-quarter", "is-there", "which-end")
HOW_MANY = "how many digits are there ?"


def ask(rng: np.random.Generator, digits: Sequence[Digit], mix: Sequence[float]) -> tuple[str, str]:
    """A question and its answer. `mix` weighs QUESTION_KINDS."""
    weights = np.asarray(mix, float)
    kind = QUESTION_KINDS[rng.choice(len(QUESTION_KINDS), p=weights / weights.sum())]
    match kind:
        case "which-quarter":
            return _which_quarter(rng, digits)
        case "is-there":
            return _is_there(rng, digits)
        case "which-end":
            return _which_end(rng, digits)
        case _:
            return _how_many(digits)


def _how_many(digits: Sequence[Digit]) -> tuple[str, str]:
    return HOW_MANY, DIGIT_WORDS[len(digits)]


def _which_quarter(rng: np.random.Generator, digits: Sequence[Digit]) -> tuple[str, str]:
    digit = digits[int(rng.integers(len(digits)))]
    if sum(other.quarter == digit.quarter for other in digits) > 1:
        return _how_many(digits)  # two digits share the quarter: the question would have two answers
    return f"which digit is in the {digit.quarter} ?", DIGIT_WORDS[digit.number]


def _is_there(rng: np.random.Generator, digits: Sequence[Digit]) -> tuple[str, str]:
    present = [digit.number for digit in digits]
    absent = [number for number in range(NUM_CLASSES) if number not in present]
    number, answer = (present, "yes") if rng.random() < 0.5 else (absent, "no")
    return f"is there a {DIGIT_WORDS[rng.choice(number)]} ?", answer


def _which_end(rng: np.random.Generator, digits: Sequence[Digit]) -> tuple[str, str]:
    across, down = in_order(digits, "right"), in_order(digits, "down")
    ends = {"leftmost": across[0], "rightmost": across[-1], "topmost": down[0], "bottommost": down[-1]}
    end = list(ends)[rng.integers(len(ends))]
    return f"which digit is the {end} ?", DIGIT_WORDS[ends[end].number]
