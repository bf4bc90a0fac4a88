"""Bytes on their way in: written beside the store, hashed as they come, gone unless they are taken."""

import hashlib
import os
import uuid
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from pilot_registry.admission.checks import check_size


class Arrived(Protocol):
    """A file that is here as a whole."""

    size: int

    @property
    def digest(self) -> str: ...

    def read_at(self, begin: int, length: int) -> bytes: ...


class Staging:
    """A folder for unfinished uploads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        """Remove what a crash left; only a server that has just started knows that nobody is writing."""
        for left in self._folder.iterdir():
            left.unlink()

    def begin(self, limit: int) -> "StagedFile":
        """A new file that refuses to grow beyond `limit` bytes."""
        return StagedFile(self._folder / uuid.uuid4().hex, limit)


class StagedFile:
    """A file that disappears at the end of the `with` block, unless the store took it."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.size = 0
        self._limit = limit
        self._hash = hashlib.sha256()
        self._file: BinaryIO = path.open("w+b")

    @property
    def digest(self) -> str:
        """Of what was written so far."""
        return "sha256:" + self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Append, for others to read at once; raises Refused `too_large` before the limit is passed."""
        check_size(self.size + len(data), self._limit)
        self._hash.update(data)
        self._file.write(data)
        self._file.flush()
        self.size += len(data)

    def read_at(self, begin: int, length: int) -> bytes:
        """At most `length` bytes from `begin`."""
        return os.pread(self._file.fileno(), length, begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)
