"""What an inspection means: sentences that a person can act on. Pure."""

from collections.abc import Iterator, Sequence

from pilot_data.inspection.duplicates import Leak, Repeated
from pilot_data.inspection.folder import FolderInspection, SplitInspection
from pilot_data.inspection.tally import LONG_WORDS

EXACT_WORDS = 5
"""Answers of more words than this are hardly ever given word for word."""
TINY_SHARE = 0.1


def warnings(folder: FolderInspection, repeated: Sequence[Repeated], leaks: Sequence[Leak]) -> list[str]:
    """Everything that training would accept and a person should know."""
    return [*_leaks(leaks), *_repeated(repeated), *_missing_splits(folder), *_answers(folder)]


def _leaks(leaks: Sequence[Leak]) -> Iterator[str]:
    for leak in leaks:
        a, b = leak.splits
        i, j = leak.examples[0]
        yield (
            f"{a} and {b} share {leak.images} images and {leak.questions} questions about them (first: record {i} of "
            f"{a} and {j} of {b}): scores on {b} are too good. Split by image, or by what images have in common: "
            "pilot data import --group-by"
        )


def _repeated(repeated: Sequence[Repeated]) -> Iterator[str]:
    for each in repeated:
        i, j = each.examples[0]
        yield f"{each.records} records of {each.split} say what an earlier one says (first: {j} repeats {i})"


def _missing_splits(folder: FolderInspection) -> Iterator[str]:
    names = {split.name for split in folder.splits}
    if "test" not in names:
        yield "no test split: a run reports on it unless its evaluation.split is val"
    if "val" not in names:
        yield "no val split: settings would be chosen on what they are reported on"


def _answers(folder: FolderInspection) -> Iterator[str]:
    for split in folder.splits:
        if split.tally.long:
            yield (
                f"{len(split.tally.long)} answers of {split.name} have more than {LONG_WORDS} words (first: record "
                f"{split.tally.long[0]}): training cuts them at its max_length"
            )
        if split.boxes and split.boxes.tiny > TINY_SHARE:
            yield (
                f"{split.boxes.tiny:.0%} of the boxes of {split.name} are smaller than one patch of the vision encoder "
                "(14 pixels of 336): crop the images, or expect misses"
            )
        if split.name != "train":
            yield from _asked(folder, split)


def _asked(folder: FolderInspection, split: SplitInspection) -> Iterator[str]:
    words = split.answer_words
    if words is None:
        return
    if folder.spec.metric == "exact-match" and words.p95 > EXACT_WORDS:
        yield (
            f"answers of {split.name} have up to {words.p95:.0f} words (95 %), which hardly ever match exactly: "
            "token-f1 or rouge-l count parts"
        )
    if words.p95 > folder.spec.max_new_tokens:
        yield (
            f"max_new_tokens is {folder.spec.max_new_tokens}, and answers of {split.name} have up to {words.p95:.0f} "
            "words (95 %): evaluation would stop before the end"
        )
    if folder.spec.metric == "cider" and split.num_images < 2:
        yield f"{split.name} has {split.num_images} image, and CIDEr-D of one image is 0"
