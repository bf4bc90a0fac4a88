"""Records and datasets: what is accepted, and what each fault is called."""

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image
from pilot_data import records
from pilot_data.dataset import read_description, read_split
from pilot_data.errors import DataError
from pilot_data.records import RecordFault, parse_record

SIZE = (640, 480)


def record(question="<image>\nwhere ?", answer="[0.1, 0.2, 0.6, 0.575]", **changes):
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": "1", "image": "a.png", "conversations": turns, **changes}


def parse(raw, frame=None):
    return parse_record(raw, 7, Path("/data"), frame, lambda _: SIZE)


def test_a_record_becomes_a_sample_with_its_image_first_and_its_mark_removed():
    sample = parse(record("what is it ? <image>", " a cat "))
    assert sample.turns == (("what is it ?", "a cat"),)
    assert sample.image == Path("/data/a.png")
    assert sample.references == ("a cat",)
    assert sample.index == 7


def test_a_record_may_have_no_image_and_several_references():
    sample = parse({"conversations": record("hello")["conversations"], "references": ["a", "b"]})
    assert sample.image is None
    assert sample.references == ("a", "b")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ([], "JSON object"),
        ({"image": "a.png"}, "conversations is missing"),
        (record(conversations=[{"from": "gpt", "value": "x"}]), "from 'human'"),
        (record(conversations=[{"from": "human", "value": "x"}]), "has no answer"),
        (record(conversations=[{"from": "human"}, {"from": "gpt", "value": "x"}]), "must be text"),
        (record(answer="  "), "empty answer"),
        (record("<image> and <image>"), "2 <image> marks"),
        (record(image=None), "names no image"),
        (record(image=3), "must be a path"),
        (record(image="../secret.png"), "stay below"),
        (record(image="/etc/passwd"), "stay below"),
        (record(references=[]), "references"),
        (record(references=[1]), "references"),
    ],
)
def test_a_fault_is_named(raw, reason):
    with pytest.raises(RecordFault, match=reason):
        parse(raw)


@pytest.mark.parametrize(
    ("answer", "frame", "reason"),
    [
        ("over there", "padded", "holds no box"),
        ("[0.1, 0.05, 0.6, 0.5]", "padded", "outside the 640x480 image in the padded frame"),
        ("[0.1, 0.2, 1.6, 0.5]", "original", "outside"),
        ("[0.6, 0.2, 0.1, 0.5]", "original", "outside"),
    ],
)
def test_a_box_must_lie_on_the_image_in_the_frame_of_the_data(answer, frame, reason):
    with pytest.raises(RecordFault, match=reason):
        parse(record(answer=answer), frame)


def test_a_box_on_the_image_is_accepted_and_needs_an_image():
    parse(record(), "padded")
    parse(record(answer="[ 0.10 , 0.05 , 0.60 , 0.50 ]"), "original")
    with pytest.raises(RecordFault, match="needs an image"):
        parse({"conversations": record("where ?")["conversations"]}, "padded")


def test_one_bad_record_in_a_hundred_is_tolerated():
    assert not records.too_many(1, 100)
    assert records.too_many(2, 100)
    assert records.too_many(1, 99)
    assert not records.too_many(0, 0)


def write_dataset(folder: Path, rows: list, metric: str = "exact-match", **spec) -> Path:
    Image.new("RGB", (32, 32)).save(folder / "a.png")
    (folder / "train.json").write_text(json.dumps(rows))
    document = {
        "apiVersion": "pilot/v1alpha1",
        "kind": "Dataset",
        "metadata": {"name": "x"},
        "spec": {"task": "vqa", "metric": metric, "splits": {"train": {"file": "train.json"}}, **spec},
    }
    (folder / "dataset.yaml").write_text(yaml.safe_dump(document))
    return folder


def test_bad_records_are_left_out_with_file_index_and_reason(tmp_path):
    rows = [record(answer="three") for _ in range(100)] + [record(image="b.png")]
    folder = write_dataset(tmp_path, rows)
    found = read_split(folder, read_description(folder), "train")
    assert len(found.samples) == 100
    assert [str(bad) for bad in found.bad] == ["train.json, record 100: image 'b.png' is missing"]


def test_more_bad_records_than_that_fail_and_the_first_are_shown(tmp_path):
    rows = [record(answer="")] * 7 + [record(answer="three")] * 93
    folder = write_dataset(tmp_path, rows)
    with pytest.raises(DataError, match=r"7 of 100 .* train.json, record 0: empty answer; .* and 2 more"):
        read_split(folder, read_description(folder), "train")


def test_an_unreadable_image_is_a_bad_record(tmp_path):
    folder = write_dataset(tmp_path, [record(image="c.png")])
    (folder / "c.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"record 0: image 'c.png' cannot be read"):
        read_split(folder, read_description(folder), "train")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b'[{"id": 1,]', "not JSON: .* line 1, column"), (b"{}", "must hold a list"), (b"\xff", "not UTF-8")],
)
def test_a_broken_file_is_bad_data_with_its_place(tmp_path, content, reason):
    folder = write_dataset(tmp_path, [])
    (folder / "train.json").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_split(folder, read_description(folder), "train")


def test_a_missing_split_or_description_is_bad_data(tmp_path):
    folder = write_dataset(tmp_path, [record(answer="x")])
    with pytest.raises(DataError, match="no split 'test'"):
        read_split(folder, read_description(folder), "test")
    (folder / "train.json").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_split(folder, read_description(folder), "train")
    with pytest.raises(DataError, match=r"dataset.yaml cannot be read"):
        read_description(tmp_path / "elsewhere")


def test_a_wrong_description_names_the_place_and_the_nearest_key(tmp_path):
    folder = write_dataset(tmp_path, [], metrik="cider")
    with pytest.raises(DataError, match=r"'metrik'.*did you mean 'metric'"):
        read_description(folder)


def test_a_box_metric_needs_a_frame(tmp_path):
    folder = write_dataset(tmp_path, [], metric="iou")
    with pytest.raises(DataError, match="box_frame"):
        read_description(folder)
