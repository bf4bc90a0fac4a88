"""One data folder, read as the trainer would read it, with every bad record and not only the first.

A split's file is decoded in one piece: a million records of 230 bytes take about 1.4 GB.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pilot_proto.dataset import DatasetSpec, Split

from pilot_data.dataset import SplitName, read_document, read_list
from pilot_data.errors import DataError
from pilot_data.inspection.statistics import BoxFigures, Spread, box_figures, spread
from pilot_data.inspection.tally import Tally
from pilot_data.records import BadRecord, RecordFault, Size, parse_record, too_many

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
FREQUENT = 10
EVERY = 500
Report = Callable[[str, int, int], None]
"""Told which file is read, how many of its records, and of how many."""


@dataclass(frozen=True)
class SplitInspection:
    """What one split holds. `error` says why it cannot be read at all; everything else is then empty."""

    name: SplitName
    file: str
    error: str
    records: int
    bad: tuple[BadRecord, ...]
    tally: Tally

    @property
    def usable(self) -> bool:
        """Whether the trainer would take it."""
        return not self.error and not too_many(len(self.bad), self.records)

    @property
    def num_images(self) -> int:
        return len(self.tally.sizes)

    @property
    def question_words(self) -> Spread | None:
        return spread(self.tally.question_words)

    @property
    def answer_words(self) -> Spread | None:
        return spread(self.tally.answer_words)

    @property
    def sides(self) -> tuple[Spread, Spread] | None:
        """Widths and heights of the images, in pixels."""
        sizes = self.tally.sizes.values()
        widths, heights = spread([w for w, _ in sizes]), spread([h for _, h in sizes])
        return (widths, heights) if widths and heights else None

    @property
    def boxes(self) -> BoxFigures | None:
        return box_figures(self.tally.boxes, self.tally.frame) if self.tally.frame else None

    @property
    def frequent_answers(self) -> list[tuple[str, int]]:
        """The most frequent answers and their counts; boxes are no answers that repeat."""
        return [] if self.tally.frame else self.tally.answers.most_common(FREQUENT)


@dataclass(frozen=True)
class FolderInspection:
    """What a client's folder holds."""

    folder: Path
    client: str
    spec: DatasetSpec
    splits: tuple[SplitInspection, ...]

    @property
    def usable(self) -> bool:
        """Whether the trainer would take every split."""
        return all(split.usable for split in self.splits)


def inspect_folder(folder: Path, size_of: Callable[[Path], Size], report: Report) -> FolderInspection:
    """Every split of a folder.

    Args:
        size_of: reads an image's size; raises RecordFault for one that cannot be read.

    Raises DataError when `dataset.yaml` is missing or wrong.
    """
    document = read_document(folder)
    spec, sizes = document.spec, Sizes(size_of)
    splits = tuple(_split(folder, spec, name, split, sizes, report) for name, split in _described(spec))
    return FolderInspection(folder, document.metadata.name, spec, splits)


def _described(spec: DatasetSpec) -> Iterator[tuple[SplitName, Split]]:
    for name in SPLITS:
        split: Split | None = getattr(spec.splits, name)
        if split is not None:
            yield name, split


def _split(
    folder: Path, spec: DatasetSpec, name: SplitName, split: Split, sizes: "Sizes", report: Report
) -> SplitInspection:
    frame = spec.box_frame if spec.metric == "iou" else None
    tally, bad = Tally(frame), []
    try:
        records = read_list(folder / split.file)
    except DataError as fault:
        return SplitInspection(name, split.file, str(fault), 0, (), tally)
    for index, raw in enumerate(records):
        try:
            sample = parse_record(raw, index, folder / split.images, frame, sizes)
            tally.add(sample, sizes(sample.image) if sample.image else None)
        except RecordFault as fault:
            bad.append(BadRecord(split.file, index, str(fault)))
        # What is not needed again is let go while the rest is read.
        records[index] = None
        if (index + 1) % EVERY == 0:
            report(split.file, index + 1, len(records))
    report(split.file, len(records), len(records))
    error = "" if records else f"{folder / split.file} holds no records"
    return SplitInspection(name, split.file, error, len(records), tuple(bad), tally)


class Sizes:
    """Sizes of images, each read once, however many records ask."""

    def __init__(self, size_of: Callable[[Path], Size]) -> None:
        self._size_of = size_of
        self._known: dict[Path, Size | RecordFault] = {}

    def __call__(self, path: Path) -> Size:
        """Width and height. Raises RecordFault, the same one each time."""
        found = self._known.get(path)
        if found is None:
            found = self._known[path] = self._read(path)
        if isinstance(found, RecordFault):
            raise RecordFault(str(found))
        return found

    def _read(self, path: Path) -> Size | RecordFault:
        try:
            return self._size_of(path)
        except RecordFault as fault:
            return fault
