"""Plans and ledgers of published rounds, read from the store. What its digest names never changes."""

import logging
import threading
from collections import OrderedDict
from typing import TypeVar

from pilot_proto.base import Stored
from pydantic import ValidationError

from pilot_registry.store.port import BlobMissing, BlobStore, blob_key

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Stored)

PIECE_BYTES = 1 << 20
KEPT_BYTES = 16 << 20


class Documents:
    """A store's documents; those read last are kept as they were parsed, up to so many bytes of text."""

    def __init__(self, store: BlobStore, limit_bytes: int = KEPT_BYTES) -> None:
        self._store, self._limit = store, limit_bytes
        self._lock = threading.Lock()
        self._size = 0
        self._known: OrderedDict[str, tuple[Stored, int]] = OrderedDict()

    def read(self, kind: type[T], digest: str) -> T | None:
        """The document; None, and a line in the log, where the store has lost it."""
        with self._lock:
            found = self._known.get(digest)
            if found is not None and isinstance(found[0], kind):
                self._known.move_to_end(digest)
                return found[0]
        try:
            body = whole(self._store, digest)
            document = kind.read(body)
        except (BlobMissing, ValidationError) as error:
            log.warning("%s cannot be read: %s", digest, error)
            return None
        self._keep(digest, document, len(body))
        return document

    def _keep(self, digest: str, document: Stored, size: int) -> None:
        with self._lock:
            self._size += size - self._known.pop(digest, (document, 0))[1]
            self._known[digest] = document, size
            while self._size > self._limit:
                _, (_, gone) = self._known.popitem(last=False)
                self._size -= gone


def whole(store: BlobStore, digest: str) -> bytes:
    """All bytes of a small blob.

    Raises:
        BlobMissing: the store has lost it.
    """
    # The index does not know the sizes of plans and ledgers: a replay of the journal brings no rows for them.
    body = b""
    with store.open(blob_key(digest)) as reader:
        while piece := reader.read_at(len(body), PIECE_BYTES):
            body += piece
    return body
