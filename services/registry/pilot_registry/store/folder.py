"""The store in a folder of this machine."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pilot_disk.files import locked, sync_folder, write_atomically

from pilot_registry.store.port import BlobMissing, Stored, StoreFault


class FileReader:
    """Positioned reads of an open file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read_at(self, begin: int, length: int) -> bytes:
        """See the port."""
        return os.pread(self._descriptor, length, begin)


class FolderPut:
    """A rename, when the time has come."""

    def __init__(self, store: "FolderStore", key: str, staged: Path) -> None:
        self._store = store
        self._key = key
        self._staged = staged

    def advance(self, received: int) -> None:
        """See the port. There is nothing to do before the end."""

    def finish(self) -> None:
        """See the port."""
        self._store.put_file(self._key, self._staged)

    def abandon(self) -> None:
        """See the port. Nothing was done yet."""


class FolderStore:
    """Objects as files; a put is a rename of a synced file."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def verify(self) -> None:
        """See the port."""
        probe = self._root / f".probe-{uuid.uuid4().hex}"
        try:
            write_atomically(probe, b"")
            probe.unlink()
        except OSError as error:
            raise StoreFault(
                f"the store's folder {self._root} cannot be written: {error.strerror}",
                hint="give its account the right to write there, or make room on its disk",
                permanent=True,
            ) from error

    def ready(self) -> None:
        """See the port."""
        if not os.access(self._root, os.R_OK | os.W_OK | os.X_OK):
            raise StoreFault(
                f"the store's folder {self._root} is gone or may not be used", hint="mount it", permanent=True
            )

    def begin(self, key: str, staged: Path, size: int) -> FolderPut:
        """See the port."""
        return FolderPut(self, key, staged)

    def put_file(self, key: str, staged: Path) -> None:
        """See the port. An object that is there already gets the new file, and so a new time."""
        target = self._root / key
        _make_folder(target.parent)
        _sync(staged)
        with locked(self._root):
            os.utime(staged)
            staged.replace(target)
        sync_folder(target.parent)

    def put_bytes(self, key: str, body: bytes) -> None:
        """See the port."""
        target = self._root / key
        _make_folder(target.parent)
        write_atomically(target, body)

    @contextmanager
    def open(self, key: str) -> Iterator[FileReader]:
        """See the port."""
        try:
            descriptor = os.open(self._root / key, os.O_RDONLY)
        except FileNotFoundError as error:
            raise BlobMissing(key) from error
        try:
            yield FileReader(descriptor)
        finally:
            os.close(descriptor)

    def exists(self, key: str) -> bool:
        """See the port."""
        return (self._root / key).is_file()

    def delete_older(self, key: str, put_before: float) -> bool:
        """See the port."""
        target = self._root / key
        with locked(self._root):
            try:
                if target.stat().st_mtime >= put_before:
                    return False
                target.unlink()
            except FileNotFoundError:
                return False
        return True

    def list(self, prefix: str) -> Iterator[Stored]:
        """See the port."""
        return self._walk(self._root / prefix)

    def close(self) -> None:
        """See the port."""

    def _walk(self, folder: Path) -> Iterator[Stored]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            if entry.is_dir():
                yield from self._walk(Path(entry.path))
            elif not entry.name.startswith("."):
                yield from self._stored(Path(entry.path))

    def _stored(self, path: Path) -> Iterator[Stored]:
        try:
            found = path.stat()
        except FileNotFoundError:
            return
        yield Stored(path.relative_to(self._root).as_posix(), found.st_size, found.st_mtime)


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
