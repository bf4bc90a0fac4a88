"""What was last said, up to so many bytes; the longest unused goes first."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime


class Recall:
    """Bodies by what was asked. Several threads use it."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, tuple[bytes, datetime]] = OrderedDict()

    def keep(self, key: Hashable, body: bytes, at: datetime) -> None:
        """Remember an answer instead of the one before it."""
        with self._lock:
            old = self._known.pop(key, None)
            self._size += len(body) - (len(old[0]) if old else 0)
            self._known[key] = body, at
            while self._size > self._limit:
                _, (gone, _) = self._known.popitem(last=False)
                self._size -= len(gone)

    def find(self, key: Hashable) -> tuple[bytes, datetime] | None:
        """The last answer, and when it came."""
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
            return found
