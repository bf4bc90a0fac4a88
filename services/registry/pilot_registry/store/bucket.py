"""The store in a bucket of any S3-compatible server."""

import io
import logging
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import HTTPError

from pilot_registry.store.faults import fault_of, unreachable
from pilot_registry.store.multipart import BucketPut
from pilot_registry.store.port import BlobMissing, Stored, StoreFault
from pilot_registry.store.ranges import HEAD_BYTES, BucketReader

log = logging.getLogger(__name__)

PROBE = b"Pilot's registry may write here."


class BucketStore:
    """Objects below a prefix of one bucket.

    Content-addressed keys need no conditional writes: whoever puts a blob puts the same bytes.
    """

    def __init__(
        self, client: Minio, bucket: str, *, place: str, prefix: str = "", part_bytes: int, parallel_parts: int
    ) -> None:
        """`place` names bucket and endpoint in errors. At most `parallel_parts` parts are in memory, of all puts."""
        self.client = client
        self.bucket = bucket
        self.part_bytes = part_bytes
        self.workers = ThreadPoolExecutor(parallel_parts, thread_name_prefix="bucket-part")
        self._place = place
        self._prefix = prefix

    def verify(self) -> None:
        """See the port."""
        key = f"probe/{uuid.uuid4().hex}"
        # A listing first: unlike a HEAD it comes with the reason when it is refused.
        next(self.list("probe/"), None)
        self.put_bytes(key, PROBE)
        with self.open(key) as reader:
            found = reader.read_at(0, len(PROBE) + 1)
        with self.doing("deleting"):
            self.client.remove_object(self.bucket, self.name(key))
        if found != PROBE:
            raise StoreFault(f"{self._place}: what was put came back changed", hint="use another store", permanent=True)

    def ready(self) -> None:
        """See the port."""
        try:
            with self.open("probe/ready"):
                pass
        except BlobMissing:
            return

    def begin(self, key: str, staged: Path, size: int) -> BucketPut:
        """See the port."""
        return BucketPut(self, key, staged, size)

    def put_file(self, key: str, staged: Path) -> None:
        """See the port."""
        put = self.begin(key, staged, staged.stat().st_size)
        try:
            put.finish()
        except BaseException:
            put.abandon()
            raise

    def put_bytes(self, key: str, body: bytes) -> None:
        """See the port."""
        with self.doing("putting"):
            # As one part of whatever size: in parts would be no object until the last one.
            self.client.put_object(self.bucket, self.name(key), io.BytesIO(body), len(body), part_size=5 << 30)

    @contextmanager
    def open(self, key: str) -> Iterator[BucketReader]:
        """See the port."""
        try:
            with self.doing("reading"):
                head, size = self._head(key)
        except S3Error as error:
            raise BlobMissing(key) from error
        reader = BucketReader(self, key, head, size)
        try:
            yield reader
        finally:
            reader.close()

    def _head(self, key: str) -> tuple[bytes, int]:
        """The first bytes of an object, which are all of a small one, and its size, by one request."""
        try:
            answer = self.client.get_object(self.bucket, self.name(key), length=HEAD_BYTES)
        except S3Error as error:
            if error.code == "InvalidRange":
                return b"", 0  # An empty object has no first byte.
            raise
        try:
            return answer.read(), int(answer.headers["Content-Range"].rpartition("/")[2])
        finally:
            answer.release_conn()

    def exists(self, key: str) -> bool:
        """See the port."""
        return self._stat(key) is not None

    def delete_older(self, key: str, put_before: float) -> bool:
        """See the port.

        Between the look and the deletion somebody may put the same bytes again, and they are gone. That takes an
        unreferenced blob older than the grace that comes back within milliseconds; a commit checks that its blobs are
        there and answers `not_uploaded`, whereupon the trainer sends them again.
        """
        found = self._stat(key)
        # A HEAD tells whole seconds, rounded down: it may be a second younger than it says.
        if found is None or found.put_at + 1 >= put_before:
            return False
        with self.doing("deleting"):
            self.client.remove_object(self.bucket, self.name(key))
        return True

    def _stat(self, key: str) -> Stored | None:
        try:
            with self.doing("looking up"):
                found = self.client.stat_object(self.bucket, self.name(key))
        except S3Error:
            return None
        return Stored(key, found.size, found.last_modified.timestamp())

    def list(self, prefix: str) -> Iterator[Stored]:
        """See the port. Pages of a thousand keys are fetched as they are needed."""
        with self.doing("listing"):
            for found in self.client.list_objects(self.bucket, prefix=self.name(prefix), recursive=True):
                key = found.object_name.removeprefix(self._prefix)
                yield Stored(key, found.size, found.last_modified.timestamp())

    def close(self) -> None:
        """See the port."""
        self.workers.shutdown(wait=True, cancel_futures=True)

    def name(self, key: str) -> str:
        """The object's name in the bucket."""
        return self._prefix + key

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Turn what the SDK raises into StoreFault, except that an object is missing, which is an answer."""
        try:
            yield
        except S3Error as error:
            if error.code == "NoSuchKey":
                raise
            raise fault_of(self._place, what, error.code or "", error.response.status, error.message or "") from error
        except ServerError as error:
            raise fault_of(self._place, what, "", error.status_code, str(error)) from error
        except InvalidResponseError as error:
            raise fault_of(self._place, what, "MethodNotAllowed", 0, str(error)) from error
        except HTTPError as error:
            raise unreachable(self._place, what, str(error)) from error
