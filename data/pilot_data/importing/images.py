"""The images that a source names: are they there, do they decode, which are the same.

What was found is written to a journal as it is found, so that an import that was killed does not decode them again.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pilot_proto.canonical import file_digest

from pilot_data.importing.cases import CaseFault
from pilot_data.pictures import decoded_size
from pilot_data.records import RecordFault

BATCH = 128
Progress = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and of how many."""


@dataclass(frozen=True)
class Picture:
    """A sound image file."""

    path: str
    bytes: int
    mtime_ns: int
    digest: str
    width: int
    height: int

    @property
    def name(self) -> str:
        """Its path in the new folder: the same bytes have the same name, and source names tell nothing."""
        digits = self.digest.removeprefix("sha256:")
        return f"images/{digits[:2]}/{digits[2:34]}{Path(self.path).suffix.lower()}"


def check_images(paths: Sequence[Path], journal: Path, report: Progress) -> dict[Path, Picture | CaseFault]:
    """What each image is, or what is wrong with it."""
    known = _read(journal)
    found: dict[Path, Picture | CaseFault] = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool, journal.open("a", encoding="utf-8") as notes:
        for start in range(0, len(paths), BATCH):
            batch = paths[start : start + BATCH]
            for path, result in zip(batch, pool.map(lambda path: _check(path, known), batch), strict=True):
                found[path] = result
                if isinstance(result, Picture) and result.path not in known:
                    notes.write(json.dumps(asdict(result)) + "\n")
            notes.flush()
            report("checking images", len(found), len(paths))
    return found


def _check(path: Path, known: dict[str, Picture]) -> Picture | CaseFault:
    try:
        status = path.stat()
        noted = known.get(str(path))
        if noted and (noted.bytes, noted.mtime_ns) == (status.st_size, status.st_mtime_ns):
            return noted
        width, height = decoded_size(path)
        return Picture(str(path), status.st_size, status.st_mtime_ns, file_digest(path), width, height)
    except FileNotFoundError:
        return CaseFault("image is missing", str(path))
    except RecordFault as fault:
        return CaseFault("image does not decode", str(fault))
    except (OSError, ValueError) as error:
        # A ValueError is a path that no file can have, such as one with a zero byte.
        return CaseFault("image cannot be read", str(error))


def _read(journal: Path) -> dict[str, Picture]:
    return {picture.path: picture for picture in _noted(journal)} if journal.exists() else {}


def _noted(journal: Path) -> Iterator[Picture]:
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
        # The last line of a killed import may be half a line.
        with suppress(ValueError, TypeError):
            yield Picture(**json.loads(line))
