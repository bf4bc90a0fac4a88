"""The folder that an import fills: beside its destination until it is whole, then in its place by a rename."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from pilot_data.errors import DataError
from pilot_data.importing.description import SKELETON
from pilot_data.importing.images import Picture, Progress

REPORT = "report.json"
_JOURNAL = "journal.jsonl"


class Staging:
    """Where an import works. What a killed one left is found again by its name."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out.parent / f".{out.name}.importing"
        self._aside = out.parent / f".{out.name}.replaced"

    @property
    def journal(self) -> Path:
        return self.folder / _JOURNAL

    def open(self, *, replace: bool) -> None:
        """Make room. Raises DataError when the destination holds what must not be replaced."""
        if self._aside.exists() and not self.out.exists():
            # An import was killed between its two renames.
            os.replace(self._aside, self.out)
        _refuse_occupied(self.out, replace=replace)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._keep_only({_JOURNAL, "images"})

    def place(self, pictures: Iterable[Picture], *, link: bool, report: Progress) -> None:
        """Copy images to their names, or link them; those that are there already stay. Raises DataError, OSError."""
        wanted = {picture.name: picture for picture in pictures}
        self._drop_unwanted(wanted)
        todo = [p for p in wanted.values() if not _is_whole(self.folder / p.name, p)]
        self._check_space(0 if link else sum(p.bytes for p in todo))
        for number, picture in enumerate(todo):
            if number % 100 == 0:
                report("placing images", len(wanted) - len(todo) + number, len(wanted))
            self._place(picture, link=link)
        report("placing images", len(wanted), len(wanted))

    def write(self, name: str, text: str) -> None:
        """A file beside the images."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def publish(self) -> None:
        """Take the destination's place. Until here nobody sees anything of the import."""
        self.journal.unlink()
        shutil.rmtree(self._aside, ignore_errors=True)
        if self.out.exists():
            os.replace(self.out, self._aside)
        os.replace(self.folder, self.out)
        shutil.rmtree(self._aside, ignore_errors=True)

    def discard(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _place(self, picture: Picture, *, link: bool) -> None:
        target, before = self.folder / picture.name, self.out / picture.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if _is_whole(before, picture) and _linked(before, target):
            return
        if link:
            _link(Path(picture.path), target)
        else:
            part = target.with_name(f"{target.name}.part")
            shutil.copyfile(picture.path, part)
            os.replace(part, target)

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise DataError(
                f"the images take {needed / 1e9:.1f} GB more and {self.out.parent} has {free / 1e9:.1f} GB free",
                "choose another --out, or --link on the volume of the images",
            )

    def _drop_unwanted(self, wanted: Mapping[str, Picture]) -> None:
        for file in (self.folder / "images").rglob("*"):
            if file.is_file() and file.relative_to(self.folder).as_posix() not in wanted:
                file.unlink()

    def _keep_only(self, names: set[str]) -> None:
        for entry in self.folder.iterdir():
            if entry.name not in names:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _refuse_occupied(out: Path, *, replace: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"--out {out} is a file", "name a folder")
    names = {entry.name for entry in out.iterdir()}
    imported = {"dataset.yaml", REPORT} <= names
    if not names or _is_skeleton(out, names) or (imported and replace):
        return
    if imported:
        raise DataError(f"--out {out} holds an import already", "--replace takes its place, or name another folder")
    raise DataError(f"--out {out} is not empty, and nothing that an import made", "name another folder")


def _is_skeleton(out: Path, names: set[str]) -> bool:
    """True for a folder that `pilot init` prepared and nobody filled."""
    return names == {"dataset.yaml"} and (out / "dataset.yaml").read_bytes().startswith(SKELETON.encode())


def _is_whole(file: Path, picture: Picture) -> bool:
    return file.is_file() and file.stat().st_size == picture.bytes


def _linked(before: Path, target: Path) -> bool:
    """Take an image over from what is replaced, where the volume knows links: it has the same bytes already."""
    try:
        os.link(before, target)
    except OSError:
        return False
    return True


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        raise DataError(
            f"{source} cannot be linked into {target.parent}: {error.strerror}",
            "hard links need one volume that knows them: leave out --link to copy",
        ) from error
