"""From answers to scores: per sample, because paired comparisons need them, and their mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pilot_proto.metrics import is_own_function

from pilot_data import boxes
from pilot_data.answers import matches
from pilot_data.cider import TokenizerName, cider_d
from pilot_data.own_metric import own_metric, scored
from pilot_data.rouge_l import BETA, rouge_l
from pilot_data.token_f1 import token_f1

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


def score(metric: str, answers: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """Score answers by a metric of `pilot_proto.metrics`: shares are 0 to 1 each, CIDEr-D 0 to 10.

    Raises MetricError when a `module:function` cannot be loaded or returns something else than a number per answer.
    """
    if is_own_function(metric):
        return Scores(scored(metric, answers, references), {})
    return _SCORERS[metric](answers, references)


def check_available(metric: str) -> None:
    """Raise MetricError now if scoring would only find out later that the function is not there."""
    if is_own_function(metric):
        own_metric(metric)


def _exact_matches(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    each = [float(matches(a, list(r), "llava")) for a, r in zip(answers, references, strict=True)]
    return Scores(tuple(each), {"normalisation": "llava"})


def _token_overlaps(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    each = [token_f1(a, r) for a, r in zip(answers, references, strict=True)]
    return Scores(tuple(each), {"normalisation": "squad"})


def _subsequences(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    each = [rouge_l(a, r) for a, r in zip(answers, references, strict=True)]
    return Scores(tuple(each), {"beta": BETA, "tokenizer": "words"})


def _captions(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    return Scores(tuple(cider_d(answers, references, CIDER_TOKENIZER)), {"tokenizer": CIDER_TOKENIZER})


def _overlaps(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """A hit is an overlap of at least one half; an answer without a box overlaps nothing."""
    ious = []
    for answer, texts in zip(answers, references, strict=True):
        found, wanted = boxes.parse(answer), boxes.parse(texts[0])
        ious.append(boxes.iou(found, wanted) if found and wanted else 0.0)
    return Scores(tuple(float(v >= IOU_THRESHOLD) for v in ious), {"mean_iou": sum(ious) / len(ious)})


_SCORERS: Mapping[str, Callable[[Sequence[str], Sequence[Sequence[str]]], Scores]] = {
    "exact-match": _exact_matches,
    "token-f1": _token_overlaps,
    "rouge-l": _subsequences,
    "cider": _captions,
    "iou": _overlaps,
}
