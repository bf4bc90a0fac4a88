"""What is remembered of a split's records while they pass by."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pilot_data import boxes
from pilot_data.boxes import Box, Frame
from pilot_data.records import Sample, Size

LONG_WORDS = 1000
"""A longer answer does not fit beside an image into 2048 tokens, the default `max_length`."""


class Seen(NamedTuple):
    """A usable record, as far as duplicates need it."""

    record: int
    image: Path | None
    question: str
    answer: str


@dataclass
class Tally:
    """The usable records of a split."""

    frame: Frame | None
    seen: list[Seen] = field(default_factory=list)
    question_words: list[int] = field(default_factory=list)
    answer_words: list[int] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    long: list[int] = field(default_factory=list)
    """Indices of records with an answer of more than LONG_WORDS words."""
    sizes: dict[Path, Size] = field(default_factory=dict)
    boxes: list[tuple[Box, Size]] = field(default_factory=list)

    def add(self, sample: Sample, size: Size | None) -> None:
        """A record, and the size of its image."""
        questions, answers = zip(*sample.turns, strict=True)
        self.seen.append(Seen(sample.index, sample.image, "\n".join(questions), "\n".join(answers)))
        self.question_words += [len(question.split()) for question in questions]
        words = [len(answer.split()) for answer in answers]
        self.answer_words += words
        if max(words) > LONG_WORDS:
            self.long.append(sample.index)
        self.answers.update(answers)
        if sample.image is not None and size is not None:
            self.sizes[sample.image] = size
            if self.frame:
                self.boxes += [(box, size) for answer in answers if (box := boxes.parse(answer))]
