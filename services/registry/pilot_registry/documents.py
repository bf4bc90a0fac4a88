"""Plans and ledgers of published rounds, read from the store. They never change, so those read last are kept."""

import logging
import threading
from collections import OrderedDict
from typing import TypeVar, cast

from pilot_proto.base import Stored
from pydantic import ValidationError

from pilot_registry.store.port import BlobMissing, BlobStore, blob_key

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Stored)

PIECE_BYTES = 1 << 20
KEPT_BYTES = 16 << 20
"""Of their text; as values they take about three times as much. A plan of 200 clients has a million bytes."""


class Documents:
    """What the store holds under digests, as values. Several threads use it."""

    def __init__(self, store: BlobStore, limit_bytes: int = KEPT_BYTES) -> None:
        self._store = store
        self._limit = limit_bytes
        self._size = 0
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[Stored, int]] = OrderedDict()

    def read(self, kind: type[T], digest: str) -> T | None:
        """A document; None, and a line in the log, where the store has lost it or it is none of its kind."""
        with self._lock:
            found = self._known.get(digest)
            if found is not None:
                self._known.move_to_end(digest)
                return cast(T, found[0])
        try:
            raw = self._whole(digest)
            made = kind.read(raw)
        except (BlobMissing, ValidationError) as error:
            log.warning("the %s %s cannot be read: %s", kind.__name__, digest, error)
            return None
        self._keep(digest, made, len(raw))
        return made

    def _keep(self, digest: str, made: Stored, size: int) -> None:
        with self._lock:
            if size > self._limit or digest in self._known:
                return
            self._known[digest] = made, size
            self._size += size
            while self._size > self._limit:
                _, (_, gone) = self._known.popitem(last=False)
                self._size -= gone

    def _whole(self, digest: str) -> bytes:
        # The index does not know the sizes of plans and ledgers: a replay of the journal brings no rows for them.
        body = b""
        with self._store.open(blob_key(digest)) as reader:
            while piece := reader.read_at(len(body), PIECE_BYTES):
                body += piece
        return body
