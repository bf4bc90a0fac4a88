"""Several clients' folders, looked at together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pilot_data.errors import DataError
from pilot_data.inspection.contents import same_bytes
from pilot_data.inspection.duplicates import Item, Leak, Repeated, Shared, leaks, repeated, shared_images
from pilot_data.inspection.findings import warnings
from pilot_data.inspection.folder import FolderInspection, Report, inspect_folder
from pilot_data.records import Size


@dataclass(frozen=True)
class Inspected:
    """One folder with what occurs in it twice, and what a person should know."""

    folder: FolderInspection
    repeated: tuple[Repeated, ...]
    leaks: tuple[Leak, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """All folders."""

    folders: tuple[Inspected, ...]
    shared: tuple[Shared, ...]

    @property
    def usable(self) -> bool:
        """Whether the trainer would take all of them."""
        return all(each.folder.usable for each in self.folders)

    @property
    def spotless(self) -> bool:
        """No bad record and no warning either."""
        return self.usable and not any(
            each.warnings or any(split.bad for split in each.folder.splits) for each in self.folders
        )


def inspect(folders: Sequence[Path], size_of: Callable[[Path], Size], report: Report) -> Inspection:
    """Inspect folders.

    Raises DataError when a folder is given twice, or holds no valid `dataset.yaml`.
    """
    _refuse_twice(folders)
    found = [inspect_folder(folder, size_of, report) for folder in folders]
    images = [image for each in found for split in each.splits for image in split.tally.sizes]
    same = same_bytes(images)
    everybody = {str(each.folder): frozenset(same[i] for s in each.splits for i in s.tally.sizes) for each in found}
    return Inspection(tuple(_inspected(each, same) for each in found), tuple(shared_images(everybody)))


def _inspected(folder: FolderInspection, same: Mapping[Path, Path]) -> Inspected:
    items = [
        Item(split.name, seen.record, same[seen.image] if seen.image else None, seen.question, seen.answer)
        for split in folder.splits
        for seen in split.tally.seen
    ]
    again, leaking = repeated(items), leaks(items)
    return Inspected(folder, tuple(again), tuple(leaking), tuple(warnings(folder, again, leaking)))


def _refuse_twice(folders: Sequence[Path]) -> None:
    first: dict[Path, Path] = {}
    for folder in folders:
        here = folder.resolve()
        if here in first:
            raise DataError(
                f"{first[here]} and {folder} are one folder: two clients cannot share data, it would count twice",
                "give each client a folder of its own",
            )
        first[here] = folder
