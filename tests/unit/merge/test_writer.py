import pytest
from pilot_aggregator.merge.layout import Layout, OutputTensor
from pilot_aggregator.merge.writer import FileSink, header_bytes, write_atomically


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
