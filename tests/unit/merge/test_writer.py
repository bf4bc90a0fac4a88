import hashlib

import pytest
from pilot_aggregator.merge.layout import Layout, OutputTensor
from pilot_aggregator.merge.writer import FLUSH_EVERY, FileSink, header_bytes
from pilot_disk.files import write_atomically


def test_a_file_that_is_not_committed_has_no_name(tmp_path):
    sink = FileSink(tmp_path / "out")
    sink.write(memoryview(b"bytes"))
    sink.sync()
    assert not (tmp_path / "out").exists()
    sink.discard()
    assert list(tmp_path.iterdir()) == []


def test_discarding_after_commit_keeps_the_file(tmp_path):
    sink = FileSink(tmp_path / "out")
    sink.write(memoryview(b"bytes"))
    sink.sync()
    sink.commit()
    sink.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_small_file_is_replaced_whole(tmp_path):
    write_atomically(tmp_path / "done.json", b"old and longer")
    write_atomically(tmp_path / "done.json", b"new")
    assert (tmp_path / "done.json").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["t", "tt", "tensor", "umlaut-\u00e4"])
def test_tensors_start_at_a_multiple_of_eight(name):
    raw = header_bytes(Layout((OutputTensor(name, (2, 3)),), {}))
    assert len(raw) % 8 == 0
    assert int.from_bytes(raw[:8], "little") == len(raw) - 8


def test_a_file_that_is_written_back_while_it_grows_is_complete(tmp_path):
    piece = bytes(range(256)) * 4096
    pieces = 2 * FLUSH_EVERY // len(piece) + 1
    sink = FileSink(tmp_path / "out")
    for _ in range(pieces):
        sink.write(memoryview(piece))
    written = sink.sync()
    sink.commit()
    found = (tmp_path / "out").read_bytes()
    assert found == piece * pieces
    assert (written.size, written.digest) == (len(found), "sha256:" + hashlib.sha256(found).hexdigest())
