"""Captions of a scene: five ways to say it, all of them right. Scored by CIDEr-D against the five."""

from collections.abc import Sequence

from pilot_digits.scenes import Digit, in_order
from pilot_digits.vocabulary import DIGIT_WORDS

CAPTION_PROMPTS = ("describe the image .", "write a caption for the image .", "what does the image show ?")
NUM_CAPTIONS = 5


def captions(digits: Sequence[Digit]) -> tuple[str, ...]:
    """The five references, always in this order: across, down, counted, listed, placed."""
    across = in_order(digits, "right")
    words = [DIGIT_WORDS[digit.number] for digit in across]
    words_down = [DIGIT_WORDS[digit.number] for digit in in_order(digits, "down")]
    noun = "digit" if len(digits) == 1 else "digits"
    return (
        "a " + " to the left of a ".join(words),
        "a " + " above a ".join(words_down),
        f"{DIGIT_WORDS[len(digits)]} {noun} : " + " and ".join(words),
        "this image shows " + " , ".join(f"a {word}" for word in words),
        " ; ".join(f"{DIGIT_WORDS[digit.number]} in the {digit.quarter}" for digit in across),
    )
