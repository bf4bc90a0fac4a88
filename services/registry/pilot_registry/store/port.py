"""What the registry asks of a store of bytes. A folder and a bucket can both do it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class BlobMissing(Exception):
    """The store has no such object."""


class Reader(Protocol):
    """Random access to one object."""

    def read_at(self, begin: int, length: int) -> bytes:
        """At most `length` bytes from `begin`; less only at the end."""
        ...


@dataclass(frozen=True)
class Stored:
    """One object: its key, size and the time of its last put (seconds since the epoch)."""

    key: str
    size: int
    put_at: float


class BlobStore(Protocol):
    """Objects by key. A put is all or nothing and survives a crash once it returned."""

    def put_file(self, key: str, staged: Path) -> None:
        """Take over a complete local file, whose content is already on the disk."""
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


def blob_key(digest: str) -> str:
    """Where a blob is, given `sha256:...`."""
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value[:2]}/{value}"


def digest_of_key(key: str) -> str:
    """The digest of the blob at a key."""
    _, algorithm, _, value = key.split("/")
    return f"{algorithm}:{value}"
