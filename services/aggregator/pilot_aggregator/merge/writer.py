"""Safetensors files written front to back while they are hashed: temporary name, fsync, rename.

The library has no streaming writer. The bytes are those it would write for the same tensors in the same order.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pilot_aggregator.merge.layout import Layout

ALIGNMENT = 8
FLUSH_EVERY = 8 << 20
"""Bytes after which the system is asked to begin writing back."""


@dataclass(frozen=True)
class Written:
    """What came out: `sha256:...` over the whole file, and its size in bytes."""

    digest: str
    size: int


class Sink(Protocol):
    """Takes the bytes of one file in order."""

    def write(self, data: memoryview) -> None: ...

    def sync(self) -> Written:
        """Everything has been written: make it durable. It has no name yet."""
        ...

    def commit(self) -> None:
        """Give it its name."""
        ...

    def discard(self) -> None:
        """Leave nothing behind; does nothing after `commit`."""
        ...


class HashOnly:
    """Forgets the bytes and keeps their digest: for recomputing what was published."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: memoryview) -> None:
        self._hash.update(data)
        self._size += data.nbytes

    def sync(self) -> Written:
        return Written("sha256:" + self._hash.hexdigest(), self._size)

    def commit(self) -> None:
        return

    def discard(self) -> None:
        return


class FileSink(HashOnly):
    """A file that appears whole or not at all. Two processes may write the same one: each has a temporary name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._fd: int | None = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)

    def write(self, data: memoryview) -> None:
        before = self._size
        super().write(data)
        _write_all(self._open, data)
        if before // FLUSH_EVERY != self._size // FLUSH_EVERY:
            begin_writeback(self._open)

    def sync(self) -> Written:
        os.fsync(self._open)
        return super().sync()

    def commit(self) -> None:
        os.replace(self._part, self._path)
        self._close()

    def discard(self) -> None:
        if self._fd is not None:
            self._close()
            self._part.unlink(missing_ok=True)

    @property
    def _open(self) -> int:
        assert self._fd is not None, "written after it was closed"
        return self._fd

    def _close(self) -> None:
        os.close(self._open)
        self._fd = None


def header_bytes(layout: Layout) -> bytes:
    """Length and JSON header, padded as the library does, so that the tensors start at a multiple of eight."""
    entries: dict[str, object] = {"__metadata__": dict(layout.metadata)} if layout.metadata else {}
    offset = 0
    for tensor in layout.tensors:
        entries[tensor.name] = {**tensor.entry, "data_offsets": [offset, offset + tensor.size]}
        offset += tensor.size
    raw = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    raw += b" " * (-len(raw) % ALIGNMENT)
    return len(raw).to_bytes(8, "little") + raw


def begin_writeback(fd: int) -> None:
    """Ask the system to write back what a file has so far, and to forget what is written."""
    # Otherwise all outputs pile up in the page cache, which costs a pod its memory limit and the final fsync its time.
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def _write_all(fd: int, data: memoryview) -> None:
    done, data = 0, data.cast("B")
    while done < len(data):
        done += os.write(fd, data[done:])
