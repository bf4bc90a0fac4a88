"""From answers to scores: per sample, because paired comparisons need them, and their mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pilot_data import boxes
from pilot_data.answers import matches
from pilot_data.cider import TokenizerName, cider_d

Metric = Literal["exact-match", "cider", "iou"]
IOU_THRESHOLD = 0.5
CIDER_TOKENIZER: TokenizerName = "ptb-like"


@dataclass(frozen=True)
class Scores:
    """One score per sample, and further figures."""

    each: tuple[float, ...]
    detail: dict[str, float | str]

    @property
    def mean(self) -> float:
        return sum(self.each) / len(self.each)


def score(metric: Metric, answers: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """Score answers: exact-match and iou give 0 or 1 each, CIDEr-D 0 to 10."""
    if metric == "cider":
        return Scores(tuple(cider_d(answers, references, CIDER_TOKENIZER)), {"tokenizer": CIDER_TOKENIZER})
    if metric == "iou":
        return _overlaps(answers, references)
    each = [float(matches(a, list(r), "llava")) for a, r in zip(answers, references, strict=True)]
    return Scores(tuple(each), {"normalisation": "llava"})


def _overlaps(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """A hit is an overlap of at least one half; an answer without a box overlaps nothing."""
    ious = []
    for answer, texts in zip(answers, references, strict=True):
        found, wanted = boxes.parse(answer), boxes.parse(texts[0])
        ious.append(boxes.iou(found, wanted) if found and wanted else 0.0)
    return Scores(tuple(float(v >= IOU_THRESHOLD) for v in ious), {"mean_iou": sum(ious) / len(ious)})
