"""Putting an object in parts while its file is still growing.

The SDK's public `put_object` reads a stream by itself: it cannot wait for the verdict of admission before the last
step, and when its stream fails it leaves threads behind. So this speaks the four requests of a multipart upload, by
the SDK's own methods for them (0016). What has no part is invisible and billed: every way out completes or aborts.
"""

import logging
import os
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TYPE_CHECKING

from minio.datatypes import Part
from minio.error import S3Error

from pilot_registry.store.port import StoreFault

if TYPE_CHECKING:
    from pilot_registry.store.bucket import BucketStore

log = logging.getLogger(__name__)

MAX_PARTS = 10_000


class BucketPut:
    """One object on its way. Parts are read from the disk when a worker is free, so waiting ones cost no memory."""

    def __init__(self, store: "BucketStore", key: str, staged: Path, size: int) -> None:
        self._store = store
        self._key = key
        self._staged = staged
        self._size = size
        self._part_bytes = max(store.part_bytes, -(-size // MAX_PARTS))
        self._upload: str | None = None
        self._parts: list[Future[str]] = []

    def advance(self, received: int) -> None:
        """See the port."""
        # The last part waits for the end: a file of one part needs no multipart upload at all.
        while self._sent() + self._part_bytes <= received and self._sent() + self._part_bytes < self._size:
            self._send(self._part_bytes)

    def finish(self) -> None:
        """See the port."""
        self.advance(self._size)
        if self._upload is None:
            self._store.put_bytes(self._key, self._staged.read_bytes())
        else:
            self._send(self._size - self._sent())
            self._complete([part.result() for part in self._parts])
        self._staged.unlink()

    def abandon(self) -> None:
        """See the port."""
        for part in self._parts:
            part.cancel()
        wait(self._parts)
        self._parts = []
        upload, self._upload = self._upload, None
        if upload is None:
            return
        try:
            with self._store.doing("aborting"):
                self._store.client._abort_multipart_upload(self._store.bucket, self._store.name(self._key), upload)
        except (S3Error, StoreFault) as error:
            log.warning("parts of %s stay until the bucket's lifecycle rule removes them: %s", self._key, error)

    def _sent(self) -> int:
        return len(self._parts) * self._part_bytes

    def _send(self, length: int) -> None:
        if self._upload is None:
            with self._store.doing("putting"):
                self._upload = self._store.client._create_multipart_upload(
                    self._store.bucket, self._store.name(self._key), {}
                )
        number, begin = len(self._parts) + 1, self._sent()
        self._parts.append(self._store.workers.submit(self._put_part, self._upload, number, begin, length))

    def _put_part(self, upload: str, number: int, begin: int, length: int) -> str:
        with self._staged.open("rb") as file:
            data = os.pread(file.fileno(), length, begin)
        with self._store.doing("putting"):
            etag: str = self._store.client._upload_part(
                self._store.bucket, self._store.name(self._key), data, None, upload, number
            )
        return etag

    def _complete(self, etags: list[str]) -> None:
        parts = [Part(number, etag) for number, etag in enumerate(etags, 1)]
        name = self._store.name(self._key)
        with self._store.doing("putting"):
            self._store.client._complete_multipart_upload(self._store.bucket, name, self._upload, parts)
            # S3 may answer 200 and say in the body that it failed.
            found = self._store.client.stat_object(self._store.bucket, name)
        self._upload = None
        if found.size != self._size:
            raise StoreFault(f"{name} has {found.size} bytes, not {self._size}", hint="send it again", permanent=False)
