"""Boxes as text: `[ 0.25 , 0.50 , 0.50 , 0.75 ]` is left, top, right, bottom as fractions of the image.

Scored by IoU >= 0.5.
"""

from pilot_digits.scenes import Digit
from pilot_digits.vocabulary import DIGIT_WORDS, coordinate

GROUNDING_PROMPTS = ("where is the {} ?", "find the {} .", "give the box of the {} .")


def box_text(digit: Digit) -> str:
    """The answer to a grounding prompt."""
    edges = (digit.left, digit.top, digit.right, digit.bottom)
    return f"[ {' , '.join(coordinate(edge) for edge in edges)} ]"


def grounding_prompt(digit: Digit, wording: int) -> str:
    """The prompt for `digit` in one of the three wordings."""
    return GROUNDING_PROMPTS[wording].format(DIGIT_WORDS[digit.number])
