"""Texts without a picture that show how answers are written: the tasks' instructions about invented layouts."""

import numpy as np

from pilot_digits.boxes import GROUNDING_PROMPTS, box_text, grounding_prompt
from pilot_digits.captions import CAPTION_PROMPTS, NUM_CAPTIONS, captions
from pilot_digits.questions import QUESTION_KINDS, ask
from pilot_digits.scenes import Look, draw_layout


def format_text(rng: np.random.Generator) -> tuple[str, str]:
    """A (question, answer) pair of a random task."""
    digits = draw_layout(rng, Look())
    task = rng.integers(3)
    if task == 0:
        return ask(rng, digits, mix=(1,) * len(QUESTION_KINDS))
    if task == 1:
        prompt = CAPTION_PROMPTS[int(rng.integers(len(CAPTION_PROMPTS)))]
        return prompt, captions(digits)[rng.integers(NUM_CAPTIONS)]
    return grounding_prompt(digits[0], int(rng.integers(len(GROUNDING_PROMPTS)))), box_text(digits[0])
