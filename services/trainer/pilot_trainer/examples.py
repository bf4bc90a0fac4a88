"""A client's records as the model reads them: for training, and for evaluation."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pilot_data.dataset import SplitName, read_split, refuse_too_many
from pilot_data.records import BadRecord
from pilot_model.conversation import Chat, truncated
from pilot_proto.dataset import DatasetSpec

from pilot_trainer.batches import Example

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """What an update trains on, and what was left out or cut on the way."""

    examples: tuple[Example, ...]
    dropped: int
    truncated: int


@dataclass(frozen=True)
class Questions:
    """What an evaluation asks, in the data's order."""

    prompts: tuple[tuple[int, ...], ...]
    images: tuple[Path | None, ...]
    references: tuple[tuple[str, ...], ...]


def training_data(folder: Path, spec: DatasetSpec, chat: Chat, max_length: int) -> TrainingData:
    """The train split, tokenised. Raises DataError as `read_split` does; an answer that does not fit is a bad one."""
    records = read_split(folder, spec, "train")
    examples, bad, cut = [], list(records.bad), 0
    for sample in records.samples:
        whole = chat.encode(sample.turns, sample.image is not None)
        fitting = truncated(whole, max_length)
        if fitting.num_answer_tokens == 0:
            reason = f"no answer token fits in max_length {max_length}: the prompt alone has more"
            bad.append(BadRecord(spec.splits.train.file, sample.index, reason))
            continue
        cut += len(fitting.ids) < len(whole.ids)
        examples.append(Example(fitting, sample.image))
    refuse_too_many(bad, len(records.samples) + len(records.bad))
    _tell(bad)
    if cut:
        log.warning("samples truncated", extra={"count": cut, "of": len(examples), "max_length": max_length})
    return TrainingData(tuple(examples), len(bad), cut)


def questions(folder: Path, spec: DatasetSpec, chat: Chat, split: SplitName, limit: int) -> Questions:
    """The first `limit` records of a split; the last answer of each is the one to be given."""
    records = read_split(folder, spec, split, limit)
    _tell(records.bad)
    return Questions(
        prompts=tuple(tuple(chat.prompt(s.turns, s.image is not None)) for s in records.samples),
        images=tuple(s.image for s in records.samples),
        references=tuple(s.references for s in records.samples),
    )


def _tell(bad: Sequence[BadRecord]) -> None:
    for record in bad:
        log.warning("bad record", extra={"file": record.file, "index": record.index, "reason": record.reason})
