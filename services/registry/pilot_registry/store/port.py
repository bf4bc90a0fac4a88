"""What the registry asks of a store of bytes. A folder and a bucket can both do it."""

import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class BlobMissing(Exception):
    """The store has no such object."""


class StoreFault(OSError):
    """The store cannot do what was asked, through no fault of the caller's; `hint` says what to do.

    `permanent`: trying again does not help until a person has changed something.
    """

    def __init__(self, detail: str, hint: str, *, permanent: bool) -> None:
        super().__init__(errno.EIO, detail)
        self.detail = detail
        self.hint = hint
        self.permanent = permanent


class StoreFull(StoreFault):
    """No room for more bytes, or none that we may use."""

    def __init__(self, detail: str, hint: str) -> None:
        super().__init__(detail, hint, permanent=True)
        self.errno = errno.ENOSPC


class Reader(Protocol):
    """Random access to one object."""

    def read_at(self, begin: int, length: int) -> bytes:
        """At most `length` bytes from `begin`; less only at the end."""
        ...


class Put(Protocol):
    """A put that began before all of its file was here. Until `finish` returns, nobody sees an object."""

    def advance(self, received: int) -> None:
        """The first `received` bytes of the file will not change any more."""
        ...

    def finish(self) -> None:
        """The file is complete: make it the object. Its path may be gone afterwards."""
        ...

    def abandon(self) -> None:
        """It is not wanted: leave nothing behind."""
        ...


@dataclass(frozen=True)
class Stored:
    """One object: its key, size and the time of its last put (seconds since the epoch)."""

    key: str
    size: int
    put_at: float


class BlobStore(Protocol):
    """Objects by key. A put is all or nothing and survives a crash once it returned.

    Everything may raise StoreFault, whose subclass StoreFull says that only putting is impossible.
    """

    def verify(self) -> None:
        """Put, read, list and delete a probe. Raises StoreFault with the rule that is broken and the remedy."""
        ...

    def ready(self) -> None:
        """Raises StoreFault when nothing can be read now."""
        ...

    def begin(self, key: str, staged: Path, size: int) -> Put:
        """Start to put a local file that will have `size` bytes and is still growing."""
        ...

    def put_file(self, key: str, staged: Path) -> None:
        """Take over a complete local file."""
        ...

    def put_bytes(self, key: str, body: bytes) -> None:
        """Store a small object."""
        ...

    def open(self, key: str) -> AbstractContextManager[Reader]:
        """Read an object.

        Raises:
            BlobMissing: when there is none.
        """
        ...

    def exists(self, key: str) -> bool: ...

    def delete_older(self, key: str, put_before: float) -> bool:
        """Delete an object unless it was put at or after `put_before`; False when it stays or is not there."""
        ...

    def list(self, prefix: str) -> Iterator[Stored]:
        """All objects whose key begins with `prefix` (which ends with a slash), in the order of their keys."""
        ...

    def close(self) -> None:
        """Let go of connections and threads."""
        ...


def blob_key(digest: str) -> str:
    """Where a blob is, given `sha256:...`."""
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value[:2]}/{value}"


def digest_of_key(key: str) -> str:
    """The digest of the blob at a key."""
    _, algorithm, _, value = key.split("/")
    return f"{algorithm}:{value}"
