"""The folder and a bucket of a real server keep what the port promises."""

import os
import threading
import time
from pathlib import Path

import pytest
from pilot_disk.files import locked, write_atomically
from pilot_registry.context import open_store
from pilot_registry.settings import Settings
from pilot_registry.store.folder import FolderStore
from pilot_registry.store.port import BlobMissing, BlobStore, blob_key, digest_of_key

PART = 5 << 20
"""The smallest that S3 knows."""


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "folder":
        yield FolderStore(tmp_path / "store")
        return
    server = request.getfixturevalue("minio")
    settings = server.settings(server.bucket(), s3_prefix="shared/pilot/", s3_part_bytes=PART)
    bucket = open_store(Settings(state_dir=tmp_path, keys=tmp_path, **settings))
    yield bucket
    bucket.close()


def staged(tmp_path: Path, body: bytes) -> Path:
    path = tmp_path / "staged"
    path.write_bytes(body)
    return path


def read(store: BlobStore, key: str) -> bytes:
    with store.open(key) as reader:
        return reader.read_at(0, 1 << 30)


def test_a_store_that_works_verifies_and_is_ready_and_keeps_nothing_of_it(store: BlobStore):
    store.verify()
    store.ready()
    assert [*store.list("probe/"), *store.list("blobs/")] == []


def test_a_file_is_taken_over_and_read_in_pieces(store: BlobStore, tmp_path: Path):
    source = staged(tmp_path, b"0123456789")
    store.put_file("blobs/a", source)
    assert not source.exists()
    with store.open("blobs/a") as reader:
        assert reader.read_at(3, 4) == b"3456"
        assert reader.read_at(8, 10) == b"89"
        assert reader.read_at(20, 1) == b""


def test_an_empty_object_is_an_object(store: BlobStore):
    store.put_bytes("blobs/empty", b"")
    assert store.exists("blobs/empty")
    assert read(store, "blobs/empty") == b""


def test_a_large_file_is_read_at_any_place(store: BlobStore, tmp_path: Path):
    body = os.urandom(2 * PART + 12345)
    store.put_file("blobs/large", staged(tmp_path, body))
    with store.open("blobs/large") as reader:
        for begin, length in (
            (0, 8),
            (8, 70_000),
            (PART - 3, 6),
            (len(body) - 5, 50),
            (65_530, 20),
            (1 << 20, 3 << 20),
        ):
            assert reader.read_at(begin, length) == body[begin : begin + length]
        pieces = [reader.read_at(begin, 1 << 20) for begin in range(0, len(body), 1 << 20)]
    assert b"".join(pieces) == body


def test_a_put_that_grows_is_invisible_until_it_is_finished(store: BlobStore, tmp_path: Path):
    body = os.urandom(2 * PART + 7)
    path = tmp_path / "growing"
    with path.open("wb") as file:
        put = store.begin("blobs/grown", path, len(body))
        for begin in range(0, len(body), 1 << 20):
            file.write(body[begin : begin + (1 << 20)])
            file.flush()
            put.advance(file.tell())
            assert not store.exists("blobs/grown")
    put.finish()
    assert not path.exists()
    assert read(store, "blobs/grown") == body


def test_a_put_that_is_abandoned_leaves_nothing(store: BlobStore, tmp_path: Path):
    path = staged(tmp_path, bytes(2 * PART + 7))
    put = store.begin("blobs/unwanted", path, 3 * PART)
    put.advance(2 * PART)
    put.abandon()
    put.abandon()
    assert list(store.list("blobs/")) == []
    assert path.exists(), "it belongs to the caller"


def test_what_is_not_there_is_missing(store: BlobStore):
    assert not store.exists("blobs/a")
    with pytest.raises(BlobMissing), store.open("blobs/a"):
        pass
    assert list(store.list("blobs/")) == []
    assert not store.delete_older("blobs/a", time.time() + 1000)


def test_objects_are_listed_in_the_order_of_their_keys(store: BlobStore):
    for key in ("index/2/b", "index/1/z", "index/2/a", "blobs/x"):
        store.put_bytes(key, key.encode())
    assert [(item.key, item.size) for item in store.list("index/")] == [
        ("index/1/z", 9),
        ("index/2/a", 9),
        ("index/2/b", 9),
    ]
    assert all(abs(item.put_at - time.time()) < 600 for item in store.list("index/"))


def test_only_what_is_old_enough_is_deleted_and_a_new_put_makes_young(store: BlobStore, tmp_path: Path):
    store.put_bytes("blobs/a", b"x")
    (first,) = store.list("blobs/")
    assert not store.delete_older("blobs/a", first.put_at)
    time.sleep(1.01)  # S3 counts in seconds.
    store.put_file("blobs/a", staged(tmp_path, b"x"))
    assert not store.delete_older("blobs/a", first.put_at + 1)
    assert store.delete_older("blobs/a", first.put_at + 100)
    assert not store.exists("blobs/a")


def test_a_folder_lists_no_unfinished_files(tmp_path: Path):
    store = FolderStore(tmp_path / "store")
    store.put_bytes("index/1/z", b"whole")
    (tmp_path / "store" / "index" / "1" / ".z.unfinished").write_bytes(b"")
    assert [item.key for item in store.list("index/")] == ["index/1/z"]


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path: Path):
    target = tmp_path / "file"
    write_atomically(target, b"old")
    with pytest.raises(TypeError):
        write_atomically(target, "no bytes")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_lock_keeps_other_threads_out(tmp_path: Path):
    inside, order = threading.Event(), []

    def wait() -> None:
        inside.set()
        with locked(tmp_path):
            order.append("second")

    with locked(tmp_path):
        with pytest.raises(BlockingIOError), locked(tmp_path, wait=False):
            pass
        thread = threading.Thread(target=wait)
        thread.start()
        inside.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_digest_and_its_key_name_each_other():
    digest = "sha256:" + "ab" * 32
    assert blob_key(digest) == "blobs/sha256/ab/" + "ab" * 32
    assert digest_of_key(blob_key(digest)) == digest
