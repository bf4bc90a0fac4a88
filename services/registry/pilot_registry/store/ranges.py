"""Reading an object of a bucket at any place, with few requests and little memory."""

from typing import TYPE_CHECKING, Any

from minio.error import S3Error
from urllib3.exceptions import HTTPError

from pilot_registry.store.port import BlobMissing, StoreFault

if TYPE_CHECKING:
    from pilot_registry.store.bucket import BucketStore

HEAD_BYTES = 1 << 16
"""Read when an object is opened: small files and most headers are in there."""
FIRST_WINDOW = 1 << 20
LAST_WINDOW = 256 << 20
"""A request asks for twice as much as the one before, as long as reading goes straight on."""
ATTEMPTS = 5
"""How often a transfer may break between two bytes that arrive; each new request has the client's own retries."""


class BucketReader:
    """Positioned reads; for one thread at a time."""

    def __init__(self, store: "BucketStore", key: str, head: bytes, size: int) -> None:
        self._store = store
        self._key = key
        self._head = head
        self.size = size
        self._answer: Any = None
        self._position = 0
        self._window = FIRST_WINDOW

    def read_at(self, begin: int, length: int) -> bytes:
        """See the port."""
        end = min(begin + length, self.size)
        if end <= len(self._head):
            return self._head[begin:end]
        known = self._head[begin:]
        return known + self._read(begin + len(known), end)

    def close(self) -> None:
        """Give the connection back, or hang up in the middle of an answer that nobody wants to the end."""
        if self._answer is not None:
            self._answer.close()
            self._answer.release_conn()
            self._answer = None

    def _read(self, begin: int, end: int) -> bytes:
        if begin >= end:
            return b""
        pieces: list[bytes] = []
        broken = 0
        while begin < end:
            try:
                piece = self._next(begin, end)
            except HTTPError as error:
                self.close()
                broken += 1
                if broken == ATTEMPTS:
                    with self._store.doing("reading"):
                        raise error
                continue
            pieces.append(piece)
            begin += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _next(self, begin: int, end: int) -> bytes:
        """Some bytes from `begin`, out of the answer that is under way if it continues there."""
        if self._answer is None or self._position != begin:
            self._ask(begin, end)
        piece: bytes = self._answer.read(end - begin)
        if not piece:
            # The window ended; the connection is free again.
            self._answer.release_conn()
            self._answer = None
            return b""
        self._position = begin + len(piece)
        return piece

    def _ask(self, begin: int, end: int) -> None:
        straight_on = self._position == begin
        self.close()
        self._window = min(2 * self._window, LAST_WINDOW) if straight_on else FIRST_WINDOW
        length = min(max(self._window, end - begin), self.size - begin)
        try:
            with self._store.doing("reading"):
                self._answer = self._store.client.get_object(
                    self._store.bucket, self._store.name(self._key), offset=begin, length=length
                )
        except S3Error as error:
            raise BlobMissing(self._key) from error
        if int(self._answer.headers["Content-Length"]) != length:
            self.close()
            raise StoreFault(f"{self._key} has changed while it was read", hint="read it again", permanent=False)
