"""Inspections: every bad record, figures, duplicates and leaks; and that they agree with what the trainer reads."""

import json
import re
import shutil

import pytest
import yaml
from pilot_data.dataset import read_split
from pilot_data.errors import DataError
from pilot_data.inspection import contents
from pilot_data.inspection.contents import same_bytes
from pilot_data.inspection.duplicates import Item, leaks, repeated, shared_images
from pilot_data.inspection.job import inspect
from pilot_data.inspection.statistics import box_figures, spread
from pilot_data.pictures import decoded_size, header_size
from unit.data.sources import picture


def record(image, question="what ?", answer="a cat"):
    turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]
    return {"id": "1", "image": image, "conversations": turns}


def folder_of(folder, splits, metric="exact-match", **spec):
    """A data folder with the given records."""
    folder.mkdir(exist_ok=True)
    for name, records in splits.items():
        (folder / f"{name}.json").write_text(json.dumps(records))
    document = {
        "apiVersion": "pilot/v1alpha1",
        "kind": "Dataset",
        "metadata": {"name": folder.name},
        "spec": {"task": "vqa", "metric": metric, "splits": {n: {"file": f"{n}.json"} for n in splits}, **spec},
    }
    (folder / "dataset.yaml").write_text(yaml.safe_dump(document))
    return folder


def inspected(*folders, size_of=header_size):
    return inspect(folders, size_of, lambda *_: None)


def distinct(folder, count, offset=0):
    return [record(picture(folder, f"{offset + i}.png", offset + i), f"q{i} ?", f"a{i}") for i in range(count)]


@pytest.fixture
def clean(tmp_path):
    folder = tmp_path / "clean"
    splits = {name: distinct(folder, 6, 10 * i) for i, name in enumerate(("train", "val", "test"))}
    return folder_of(folder, splits)


def test_clean_data_are_usable_and_spotless(clean):
    found = inspected(clean)
    assert found.usable
    assert found.spotless
    assert [(split.name, split.records, split.num_images) for split in found.folders[0].folder.splits] == [
        ("train", 6, 6),
        ("val", 6, 6),
        ("test", 6, 6),
    ]


def test_every_bad_record_is_listed_and_not_only_the_first(tmp_path):
    folder = tmp_path / "a"
    rows = distinct(folder, 100)
    for index in range(0, 100, 10):
        rows[index]["image"] = "no.png"
    rows[55]["conversations"] = []
    (split,) = inspected(folder_of(folder, {"train": rows})).folders[0].folder.splits
    assert [bad.index for bad in split.bad] == sorted([*range(0, 100, 10), 55])
    assert str(split.bad[6]) == "train.json, record 55: conversations is missing or empty"
    assert not split.usable


@pytest.mark.parametrize(("num_bad", "usable"), [(1, True), (2, False)])
def test_one_bad_record_in_a_hundred_is_usable_but_not_spotless(tmp_path, num_bad, usable):
    rows = distinct(tmp_path / "a", 100)
    for row in rows[:num_bad]:
        row["image"] = "no.png"
    folder = folder_of(tmp_path / "a", {"train": rows})
    found = inspected(folder)
    assert found.usable is usable
    assert not found.spotless
    spec = found.folders[0].folder.spec
    if usable:
        assert len(read_split(folder, spec, "train").bad) == num_bad
    else:
        with pytest.raises(DataError, match="at most 1 in 100"):
            read_split(folder, spec, "train")


@pytest.mark.parametrize(
    ("content", "reason"), [(b"[", "is not JSON"), (b"[]", "holds no records"), (b"{}", "must hold a list")]
)
def test_a_split_that_cannot_be_read_is_told_and_the_others_are_read(clean, content, reason):
    (clean / "val.json").write_bytes(content)
    found = inspected(clean)
    assert not found.usable
    assert [reason in split.error for split in found.folders[0].folder.splits] == [False, True, False]
    assert found.folders[0].folder.splits[2].records == 6


def test_a_truncated_image_is_found_by_decoding_only(tmp_path):
    folder = folder_of(tmp_path / "a", {"train": distinct(tmp_path / "a", 3)})
    picture(folder, "1.png", size=(640, 480))
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    assert inspected(folder).usable
    (split,) = inspected(folder, size_of=decoded_size).folders[0].folder.splits
    assert [bad.index for bad in split.bad] == [1]


def test_an_image_is_opened_once_however_many_records_ask(tmp_path):
    opened = []

    def count(path):
        opened.append(path.name)
        return header_size(path)

    image = picture(tmp_path / "a", "1.png")
    rows = [record(image, f"q{i}") for i in range(5)] + [record("no.png", f"q{i}") for i in range(5)]
    inspected(folder_of(tmp_path / "a", {"train": rows, "test": rows}), size_of=count)
    assert opened == ["1.png", "no.png"]


def test_lengths_and_frequent_answers_are_counted(tmp_path):
    rows = [record(picture(tmp_path / "a", f"{i}.png", i), "how many are there", "yes") for i in range(9)]
    rows.append(record("0.png", "why", "because of the rain that fell"))
    (split,) = inspected(folder_of(tmp_path / "a", {"train": rows})).folders[0].folder.splits
    assert (split.answer_words.p50, split.answer_words.max, split.question_words.p95) == (1, 6, 4)
    assert split.frequent_answers == [("yes", 9), ("because of the rain that fell", 1)]
    assert split.sides[0].p50 == 64


def test_nearest_rank_quantiles_are_values_that_occur():
    found = spread([*range(1, 101)])
    assert (found.p50, found.p95, found.max, found.mean) == (50, 95, 100, 50.5)
    assert spread([7]).p50 == spread([7]).p95 == 7
    assert spread([]) is None


def test_figures_of_boxes_are_of_the_image_in_both_frames():
    original = box_figures([((0.25, 0.25, 0.75, 0.75), (200, 100))], "original")
    padded = box_figures([((0.25, 0.375, 0.75, 0.625), (200, 100))], "padded")
    assert original.area.max == padded.area.max == pytest.approx(0.25)
    assert original.aspect.max == padded.aspect.max == pytest.approx(2)
    assert original.tiny == 0
    assert box_figures([], "padded") is None


def test_a_box_smaller_than_a_patch_of_the_encoder_is_tiny():
    patch = 14 / 336
    boxes = [((0.0, 0.0, side, side), (100, 100)) for side in (patch * 0.9, patch * 1.1)]
    assert box_figures(boxes, "original").tiny == 0.5


def test_files_of_the_same_bytes_are_found_whatever_they_are_called(tmp_path):
    big = bytes(range(256)) * 100
    for name, content in {"a": big, "b": big, "c": big[:-1] + b"x", "d": b"", "e": b""}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "middle").write_bytes(big[:12_000] + b"!" + big[12_001:])
    found = same_bytes(tmp_path / name for name in ("a", "b", "c", "d", "e", "middle", "missing"))
    assert {path.name: first.name for path, first in found.items()} == {
        "a": "a", "b": "a", "c": "c", "d": "d", "e": "d", "middle": "middle", "missing": "missing",
    }  # fmt: skip


def test_files_of_different_length_are_not_read(tmp_path, monkeypatch):
    for i in range(5):
        (tmp_path / str(i)).write_bytes(b"x" * i)
    monkeypatch.setattr(contents, "_ends", _refuse)
    assert len(set(same_bytes(tmp_path.iterdir()).values())) == 5


def _refuse(path):
    raise AssertionError(f"{path} was read")


def test_a_picture_in_two_splits_is_a_leak_also_under_another_name(clean):
    shutil.copy(clean / "0.png", clean / "copy.png")
    rows = json.loads((clean / "test.json").read_text())
    rows[4]["image"] = "copy.png"
    (clean / "test.json").write_text(json.dumps(rows))
    found = inspected(clean)
    (leak,) = found.folders[0].leaks
    assert (leak.splits, leak.images, leak.questions, leak.examples) == (("train", "test"), 1, 0, ((0, 4),))
    assert found.usable
    assert not found.spotless
    assert any("--group-by" in warning for warning in found.folders[0].warnings)


def test_a_question_without_an_image_leaks_by_its_words():
    items = [
        Item("train", 0, None, "who ?", "me"),
        Item("test", 3, None, "who ?", "you"),
        Item("test", 4, None, "x", ""),
    ]
    (leak,) = leaks(items)
    assert (leak.images, leak.questions, leak.examples) == (1, 1, ((0, 3),))


def test_a_record_that_repeats_another_is_counted_and_other_answers_are_none():
    items = [Item("train", i, "a", "q", answer) for i, answer in enumerate(["x", "y", "x", "x"])]
    (found,) = repeated([*items, Item("test", 0, "a", "q", "x")])
    assert (found.split, found.records, found.examples) == ("train", 2, ((0, 2), (0, 3)))


def test_pictures_that_clients_share_are_information(clean, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(clean, other)
    for number in (0, 1):
        picture(other, f"{number}.png", 500 + number)
    found = inspected(clean, other)
    (shared,) = found.shared
    assert (shared.clients, shared.images) == ((str(clean), str(other)), 16)
    assert found.usable
    assert shared_images({"a": frozenset("x"), "b": frozenset("y")}) == []


def test_one_folder_for_two_clients_is_refused_by_any_path(clean, tmp_path):
    (tmp_path / "alias").symlink_to(clean)
    for again in (clean, tmp_path / "alias", clean / ".." / "clean"):
        with pytest.raises(DataError, match=r"are one folder.*folder of its own"):
            inspected(clean, again)


def test_a_folder_without_a_description_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"dataset.yaml cannot be read"):
        inspected(tmp_path)


WARNINGS = {
    "no test split": ({"train", "val"}, {}, "a cat", "no test split"),
    "no val split": ({"train", "test"}, {}, "a cat", "no val split"),
    "a very long answer": ({"train", "val", "test"}, {}, "word " * 1001, "have more than 1000 words.*record 0"),
    "long answers and exact match": ({"train", "val", "test"}, {}, "a cat on the mat there", "token-f1 or rouge-l"),
    "answers that are cut": ({"train", "val", "test"}, {"max_new_tokens": 2}, "a b c", "max_new_tokens is 2"),
}


@pytest.mark.parametrize(("names", "spec", "answer", "warning"), WARNINGS.values(), ids=WARNINGS)
def test_what_training_accepts_and_a_person_should_know_is_a_warning(tmp_path, names, spec, answer, warning):
    folder = tmp_path / "a"
    splits = {
        name: [record(picture(folder, f"{name}{i}.png", 10 * n + i), answer=answer) for i in range(3)]
        for n, name in enumerate(sorted(names))
    }
    found = inspected(folder_of(folder, splits, **spec))
    assert found.usable
    assert not found.spotless
    assert re.search(warning, "\n".join(found.folders[0].warnings))


def test_boxes_are_checked_and_counted_in_their_frame(tmp_path):
    folder = tmp_path / "a"
    boxes = ["[0.10, 0.20, 0.60, 0.70]", "[0.10, 0.00, 0.60, 0.70]", "[0.10, 0.20, 0.12, 0.22]"]
    rows = [record(picture(folder, f"{i}.png", i), "where ?", box) for i, box in enumerate(boxes)]
    (split,) = inspected(folder_of(folder, {"train": rows}, "iou", box_frame="padded")).folders[0].folder.splits
    assert [(bad.index, "outside the 64x48 image" in bad.reason) for bad in split.bad] == [(1, True)]
    assert split.boxes.tiny == 0.5
    assert split.frequent_answers == []
