"""The folder store keeps what the port promises."""

import os
import threading
import time
from pathlib import Path

import pytest
from pilot_disk.files import locked, write_atomically
from pilot_registry.store.folder import FolderStore
from pilot_registry.store.port import BlobMissing, blob_key, digest_of_key


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def staged(tmp_path: Path, body: bytes) -> Path:
    path = tmp_path / "staged"
    path.write_bytes(body)
    return path


def test_a_file_is_taken_over_and_read_in_pieces(store: FolderStore, tmp_path: Path):
    source = staged(tmp_path, b"0123456789")
    store.put_file("blobs/a", source)
    assert not source.exists()
    with store.open("blobs/a") as reader:
        assert reader.read_at(3, 4) == b"3456"
        assert reader.read_at(8, 10) == b"89"
        assert reader.read_at(20, 1) == b""


def test_what_is_not_there_is_missing(store: FolderStore):
    assert not store.exists("blobs/a")
    with pytest.raises(BlobMissing), store.open("blobs/a"):
        pass
    assert list(store.list("blobs/")) == []
    assert not store.delete_older("blobs/a", time.time() + 1000)


def test_objects_are_listed_in_the_order_of_their_keys_without_unfinished_ones(store: FolderStore, tmp_path: Path):
    for key in ("index/2/b", "index/1/z", "index/2/a", "blobs/x"):
        store.put_bytes(key, key.encode())
    (tmp_path / "store" / "index" / "1" / ".z.unfinished").write_bytes(b"")
    assert [(item.key, item.size) for item in store.list("index/")] == [
        ("index/1/z", 9),
        ("index/2/a", 9),
        ("index/2/b", 9),
    ]


def test_only_what_is_old_enough_is_deleted_and_a_new_put_makes_young(store: FolderStore, tmp_path: Path):
    store.put_file("blobs/a", staged(tmp_path, b"x"))
    os.utime(tmp_path / "store" / "blobs" / "a", (1000, 1000))
    assert not store.delete_older("blobs/a", 1000)
    store.put_file("blobs/a", staged(tmp_path, b"x"))
    assert not store.delete_older("blobs/a", 2000)
    os.utime(tmp_path / "store" / "blobs" / "a", (1000, 1000))
    assert store.delete_older("blobs/a", 2000)
    assert not store.exists("blobs/a")


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
