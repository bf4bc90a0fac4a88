"""Documents that never change: read once, kept up to so many bytes, and missed without an end of everything."""

import pytest
from pilot_proto.canonical import canonical_bytes, digest_of
from pilot_proto.plan import Ledger, MergePlan
from pilot_registry.documents import Documents
from pilot_registry.store.folder import FolderStore
from pilot_registry.store.port import blob_key


class Counting(FolderStore):
    """Notes what is read."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.opened: list[str] = []

    def open(self, key: str):
        self.opened.append(key)
        return super().open(key)


@pytest.fixture
def store(tmp_path):
    return Counting(tmp_path)


def put(store, number: int) -> str:
    raw = canonical_bytes(MergePlan(run="r", round=number, program="plain"))
    store.put_bytes(blob_key(digest_of(raw)), raw)
    return digest_of(raw)


def test_a_document_that_was_read_is_not_read_again(store):
    documents, digest = Documents(store), put(store, 1)
    assert documents.read(MergePlan, digest) is documents.read(MergePlan, digest)
    assert len(store.opened) == 1


def test_the_longest_unused_goes_when_there_are_too_many_bytes(store):
    digests = [put(store, number) for number in range(1, 4)]
    size = len(canonical_bytes(MergePlan(run="r", round=1, program="plain")))
    documents = Documents(store, 2 * size)
    for digest in (digests[0], digests[1], digests[0], digests[2], digests[0], digests[1]):
        assert documents.read(MergePlan, digest)
    assert [store.opened.count(blob_key(digest)) for digest in digests] == [1, 2, 1]


def test_what_is_larger_than_everything_is_read_each_time(store):
    documents, digest = Documents(store, 3), put(store, 1)
    assert documents.read(MergePlan, digest)
    assert documents.read(MergePlan, digest)
    assert len(store.opened) == 2


def test_what_is_lost_is_none_until_it_is_back(store):
    documents = Documents(store)
    raw = canonical_bytes(Ledger(run="r", round=1, program="plain", entries=()))
    assert documents.read(Ledger, digest_of(raw)) is None
    store.put_bytes(blob_key(digest_of(raw)), raw)
    assert documents.read(Ledger, digest_of(raw)).run == "r"


def test_what_is_no_document_of_the_kind_is_none(store):
    store.put_bytes(blob_key(digest_of(b"{}")), b"{}")
    assert Documents(store).read(MergePlan, digest_of(b"{}")) is None
