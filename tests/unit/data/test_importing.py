"""Imports: what becomes a record, what is dropped and why, and that a folder appears whole or not at all."""

import json
import os
import shutil

import pytest
from pilot_data.dataset import read_description, read_split
from pilot_data.errors import DataError
from pilot_data.importing import staging
from pilot_data.importing.columns import Columns
from pilot_data.importing.job import run
from pilot_data.importing.placement import BoxReading
from pilot_data.importing.splits import split_of
from pilot_proto.canonical import file_digest
from unit.data.sources import (
    BOXES,
    CAPTION,
    IN_THREE,
    VQA,
    asked,
    coco,
    imported,
    picture,
    questions,
    split,
    wanted,
    write_csv,
    write_json,
    write_jsonl,
)


def test_rows_become_records_with_the_prompt_of_their_task(tmp_path):
    done = imported(write_csv(tmp_path, questions(tmp_path, 3)))
    out = tmp_path / "out"
    assert asked(out)[1] == (
        "<image>\nwhat is 1 ?\nAnswer the question using a single word or phrase.",
        "number 1",
    )
    assert [record["id"] for record in split(out)] == ["line-2", "line-3", "line-4"]
    assert (done.cases, done.images, len(done.dropped)) == (3, 3, 0)


def test_what_was_imported_is_what_the_trainer_reads(tmp_path):
    rows = questions(tmp_path, 60)
    done = imported(write_csv(tmp_path, rows), shares=IN_THREE)
    out = tmp_path / "out"
    spec = read_description(out)
    read = {name: read_split(out, spec, name) for name in ("train", "val", "test")}
    assert {name: len(found.samples) for name, found in read.items()} == {
        name: counts.records for name, counts in done.splits.items()
    }
    assert sum(len(found.samples) for found in read.values()) == 60
    assert not any(found.bad for found in read.values())


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_found(tmp_path, delimiter):
    imported(write_csv(tmp_path, questions(tmp_path, 2), delimiter))
    assert len(split(tmp_path / "out")) == 2


def test_columns_have_the_names_that_were_given(tmp_path):
    rows = [{"bild": picture(tmp_path, "a.png"), "frage": "was ?", "antwort": "ja"}]
    imported(write_csv(tmp_path, rows), columns=Columns("bild", "antwort", "frage"))
    assert asked(tmp_path / "out")[0][1] == "ja"


@pytest.mark.parametrize(
    ("columns", "option"),
    [
        (Columns("bild", "answer", "question"), "--image"),
        (Columns("image", "answer", "frage"), "--question"),
        (Columns("image", "antwort", "question"), "--answer"),
        (Columns("image", "answer", "question", group="patient"), "--group-by"),
        (Columns("image", "answer", "question", box=("box",)), "--box"),
    ],
)
def test_a_missing_column_is_named_with_those_that_there_are_and_its_option(tmp_path, columns, option):
    source = write_csv(tmp_path, questions(tmp_path, 2))
    with pytest.raises(DataError, match=rf"cases.csv has no column .*image, question, answer; .*{option} COLUMN"):
        imported(source, columns=columns)
    assert not (tmp_path / "out").exists()


DROPS = {
    "an image that is not there": ({"image": "no.png"}, "image is missing"),
    "an image that is a folder": ({"image": "."}, "image does not decode"),
    "an image with a broken name": ({"image": "a\0b"}, "image cannot be read"),
    "no image": ({"image": " "}, "empty image"),
    "an empty answer": ({"answer": "  "}, "empty answer"),
    "an image mark for an answer": ({"answer": "<image>"}, "empty answer"),
    "an answer of many words": ({"answer": "word " * 10_000}, "answer too long"),
    "an empty question": ({"question": ""}, "empty question"),
    "a question of many words": ({"question": "word " * 10_000}, "question too long"),
    "an answer that is no text": ({"answer": {"a": 1}}, "answer is not text"),
    "an answer that is true": ({"answer": True}, "answer is not text"),
    "no right answer": ({"answer": []}, "empty answer"),
    "half a character": ({"answer": "\ud800"}, "answer is not text"),
    "nothing": ({"answer": None}, "empty answer"),
}


@pytest.mark.parametrize(("change", "reason"), DROPS.values(), ids=DROPS)
def test_a_faulty_row_is_dropped_with_its_line_and_reason(tmp_path, change, reason):
    rows = questions(tmp_path, 12)
    rows[4] |= change
    done = imported(write_jsonl(tmp_path, rows))
    assert [(each.place, each.reason) for each in done.dropped] == [("line-5", reason)]
    assert len(split(tmp_path / "out")) == 11
    told = json.loads((tmp_path / "out/report.json").read_text())
    assert told["dropped"] == {reason: 1}
    assert told["droppedCases"][0]["place"] == "line-5"


def test_a_broken_line_is_dropped_and_the_others_stay(tmp_path):
    source = write_jsonl(tmp_path, questions(tmp_path, 20))
    source.write_text(source.read_text() + '{"image": \n[1]\n\n')
    done = imported(source)
    assert [(each.place, each.reason) for each in done.dropped] == [
        ("line-21", "row cannot be read"),
        ("line-22", "row cannot be read"),
    ]


def test_a_row_with_too_many_fields_is_dropped(tmp_path):
    source = write_csv(tmp_path, questions(tmp_path, 20))
    source.write_text(source.read_text() + "0.png,what,is,this\n")
    assert imported(source).dropped[0].detail == "4 fields, the header has 3"


@pytest.mark.parametrize("content", [b"not a picture", b""])
def test_an_image_that_does_not_decode_is_dropped(tmp_path, content):
    rows = questions(tmp_path, 12)
    (tmp_path / "3.png").write_bytes(content)
    assert imported(write_csv(tmp_path, rows)).dropped[0].reason == "image does not decode"


def test_half_an_image_is_dropped_although_its_header_is_whole(tmp_path):
    rows = questions(tmp_path, 12)
    picture(tmp_path, "3.png", size=(640, 480))
    whole = (tmp_path / "3.png").read_bytes()
    (tmp_path / "3.png").write_bytes(whole[: len(whole) // 2])
    assert imported(write_csv(tmp_path, rows)).dropped[0].reason == "image does not decode"


def test_too_many_drops_refuse_the_import_with_reasons_and_remedy_and_leave_nothing(tmp_path):
    rows = questions(tmp_path, 10)
    for row in rows[:2]:
        row["image"] = "no.png"
    source = write_csv(tmp_path, rows)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"2 of 10 cases .* at most 10%.* 2 x image is missing .*line-2.*--images"):
        imported(source)
    assert sorted(tmp_path.iterdir()) == before
    assert imported(source, max_dropped=0.2).cases == 10


def test_a_file_with_nothing_usable_is_refused_whatever_may_be_dropped(tmp_path):
    source = write_csv(tmp_path, [{"image": "a.png", "question": "x", "answer": "y"}])
    with pytest.raises(DataError, match="1 of 1 cases"):
        imported(source, max_dropped=1.0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"image,question,answer\n", "holds no rows"),
        (b"image,image,answer\na,b,c\n", "two columns called 'image'"),
        (
            "image,question,answer\na.png,gro\u00df ?,ja\n".encode("latin-1"),
            "not UTF-8 text: byte 0xdf in line 2; .*UTF-8",
        ),
        ("image,question".encode("utf-16"), "not UTF-8"),
        (b'image,question,answer\na.png,"what,yes\nb.png,how,no\n', "line 3: unexpected end of data; .*quote"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_the_place(tmp_path, content, reason):
    (tmp_path / "cases.csv").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        imported(tmp_path / "cases.csv")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    source = write_csv(tmp_path, questions(tmp_path, 2))
    source.write_text(source.read_text(), encoding="utf-8-sig")
    assert imported(source).cases == 2


@pytest.mark.parametrize(
    ("name", "reason"), [("cases.xlsx", "holds is unknown; known: .csv"), ("cases.csv", "cannot be read: No such file")]
)
def test_a_file_of_another_kind_or_none_is_refused(tmp_path, name, reason):
    with pytest.raises(DataError, match=reason):
        imported(tmp_path / name)


def test_several_captions_are_all_trained_on_and_are_references_elsewhere(tmp_path):
    rows = [{"image": picture(tmp_path, f"{i}.png", i), "caption": [f"a {i}", f"one {i}", f"a {i}"]} for i in range(40)]
    imported(write_jsonl(tmp_path, rows), "caption", shares=IN_THREE)
    out = tmp_path / "out"
    trained = [answer for _, answer in asked(out)]
    assert len(trained) == 2 * len({record["image"] for record in split(out)})
    assert len(set(trained)) == len(trained)
    assert all("references" not in record for record in split(out))
    for record in split(out, "test"):
        assert record["references"][0] == record["conversations"][1]["value"]
        assert len(record["references"]) == 2


def test_captions_of_one_image_on_several_rows_are_its_references(tmp_path):
    cat, dog = picture(tmp_path, "cat.png", 1), picture(tmp_path, "dog.png", 2)
    rows = [{"image": cat, "caption": text} for text in ("a cat", "one cat", "a cat")]
    rows.append({"image": dog, "caption": "a dog"})
    halves = {"train": 0.5, "test": 0.5}

    def place(name, seed):
        return split_of(file_digest(tmp_path / name), seed, halves)

    seed = next(seed for seed in range(100) if (place(cat, seed), place(dog, seed)) == ("test", "train"))
    imported(write_csv(tmp_path, rows), "caption", shares=halves, seed=seed)
    assert [record["references"] for record in split(tmp_path / "out", "test")] == [["a cat", "one cat"]]


def test_the_longest_answer_sets_the_room_for_answers(tmp_path):
    rows = questions(tmp_path, 2)
    rows[0]["answer"] = "word " * 30
    imported(write_csv(tmp_path, rows))
    assert read_description(tmp_path / "out").max_new_tokens == 91


def grounded(folder, frame="original", units="pixels", box=(16, 12, 32, 24), **row):
    """An import of one box on an image of 64 x 48."""
    rows = [{"image": picture(folder, "a.png"), "expression": "the cat", "box": list(box), **row}]
    return imported(write_jsonl(folder, rows), "grounding", boxes=BoxReading(units, frame))


@pytest.mark.parametrize(
    ("frame", "units", "box", "answer"),
    [
        ("original", "pixels", (16, 12, 32, 24), "[0.25, 0.25, 0.75, 0.75]"),
        ("padded", "pixels", (16, 12, 32, 24), "[0.25, 0.31, 0.75, 0.69]"),
        ("original", "relative", (0.25, 0.25, 0.5, 0.5), "[0.25, 0.25, 0.75, 0.75]"),
        ("original", "pixels", (-0.3, 0, 64.3, 48), "[0.00, 0.00, 1.00, 1.00]"),
    ],
)
def test_a_box_is_written_in_the_frame_that_was_asked_for(tmp_path, frame, units, box, answer):
    grounded(tmp_path, frame, units, box)
    assert asked(tmp_path / "out") == [
        (
            "<image>\nPlease provide the bounding box coordinate of the region this sentence describes: the cat",
            answer,
        )
    ]
    out = tmp_path / "out"
    assert read_description(out).box_frame == frame
    assert len(read_split(out, read_description(out), "train").samples) == 1


@pytest.mark.parametrize(
    ("box", "units", "reason"),
    [
        ((16, 12, 64, 24), "pixels", "box outside the image .*--box-format"),
        ((16, 12, 0, 24), "pixels", "box has no size .*--box-format"),
        ((16, 12, -3, 24), "pixels", "box has no size"),
        ((0.25, 0.25, 0.5, 0.5), "pixels", "box smaller than a pixel .*--box-units"),
        ((1, 2, 3), "pixels", "box is not four numbers"),
        (("a", "b", "c", "d"), "pixels", "box is not four numbers"),
        ((float("nan"), 2, 3, 4), "pixels", "box has no size"),
        ((1, 2, 3, float("inf")), "pixels", "box has no size"),
    ],
)
def test_a_box_that_is_none_is_named_with_the_option_to_check(tmp_path, box, units, reason):
    with pytest.raises(DataError, match=reason):
        grounded(tmp_path, units=units, box=box)


def test_a_grounding_task_without_boxes_is_refused(tmp_path):
    rows = [{"image": picture(tmp_path, "a.png"), "expression": "the cat", "box": ""}]
    with pytest.raises(DataError, match=r"1 x no box.*--box"):
        imported(write_jsonl(tmp_path, rows), "grounding")


@pytest.mark.parametrize("box", ["16,12,32,24", "[16, 12, 32, 24]", "16 12 32 24", "(16, 12, 32, 24)"])
def test_a_box_may_be_text(tmp_path, box):
    rows = [{"image": picture(tmp_path, "a.png"), "expression": "the cat", "box": box}]
    imported(write_csv(tmp_path, rows), "grounding")
    assert asked(tmp_path / "out")[0][1] == "[0.25, 0.25, 0.75, 0.75]"


def test_a_box_may_be_four_columns_and_two_corners(tmp_path):
    rows = [{"image": picture(tmp_path, "a.png"), "expression": "the cat", "l": 16, "t": 12, "r": 48, "b": 36}]
    columns = Columns("image", None, "expression", ("l", "t", "r", "b"), "xyxy")
    imported(write_csv(tmp_path, rows), "grounding", columns=columns)
    assert asked(tmp_path / "out")[0][1] == "[0.25, 0.25, 0.75, 0.75]"


def test_an_expression_with_two_boxes_in_one_image_has_no_right_answer(tmp_path):
    boxes = [("the cat", [0, 0, 32, 24]), ("the cat", [16, 12, 32, 24]), ("a dog", [0, 0, 32, 24])]
    name = picture(tmp_path, "a.png")
    rows = [{"image": name, "expression": text, "box": box} for text, box in boxes]
    done = imported(write_jsonl(tmp_path, rows), "grounding", max_dropped=0.9)
    assert [(each.place, each.reason) for each in done.dropped] == [
        ("line-1", "expression with several boxes"),
        ("line-2", "expression with several boxes"),
    ]


def instances(folder, annotations, **image):
    entry = {"id": 7, "file_name": picture(folder, "a.png"), "width": 64, "height": 48, **image}
    return write_json(folder, coco([entry], [{"id": i, "image_id": 7, **a} for i, a in enumerate(annotations)]))


def test_coco_instances_are_asked_for_by_category_or_expression(tmp_path):
    box = {"bbox": [16, 12, 32, 24]}
    source = instances(
        tmp_path,
        [
            {"category_id": 1, **box},
            {"category_id": 2, "expressions": ["the black dog", "a dog at night"], "bbox": [0, 0, 32, 24]},
            {"category_id": 2, "sentences": [{"sent": "the other dog", "tokens": []}], "bbox": [0, 0, 64, 48]},
        ],
    )
    imported(source, "grounding", boxes=BoxReading("pixels", "original"))
    expressions = [question.rsplit(": ")[1] for question, _ in asked(tmp_path / "out")]
    assert expressions == ["cat", "the black dog", "a dog at night", "the other dog"]


def test_crowds_and_ambiguous_categories_are_passed_over_and_counted(tmp_path):
    box = {"bbox": [16, 12, 32, 24]}
    source = instances(
        tmp_path,
        [
            {"category_id": 1, **box},
            {"category_id": 2, **box},
            {"category_id": 2, "bbox": [0, 0, 9, 9]},
            {"category_id": 1, "iscrowd": 1, **box},
            {"category_id": 2, "expressions": ["the dog on the left"], **box},
        ],
    )
    done = imported(source, "grounding")
    # A crowd of cats makes "cat" ambiguous as well.
    assert done.skipped == {"several instances of the category in the image": 3, "crowd": 1}


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ({"category_id": 9, "bbox": [0, 0, 9, 9]}, "no such category"),
        ({"category_id": [1], "bbox": [0, 0, 9, 9]}, "no such category"),
        ({"image_id": 8, "category_id": 2, "bbox": [0, 0, 9, 9]}, "no such image"),
        ({"image_id": None, "category_id": 2, "bbox": [0, 0, 9, 9]}, "no such image"),
        ({"category_id": 2}, "no box"),
        ({"category_id": 2, "bbox": [0, 0, 9]}, "box is not four numbers"),
        ({"category_id": 2, "bbox": [0, 0, 9, 900]}, "box outside the image"),
    ],
)
def test_a_faulty_annotation_is_dropped_with_its_id(tmp_path, annotation, reason):
    source = instances(tmp_path, [{"category_id": 1, "bbox": [16, 12, 32, 24]}, annotation])
    done = imported(source, "grounding", max_dropped=0.5)
    assert [(each.place, each.reason) for each in done.dropped] == [("annotation-1", reason)]


def test_boxes_for_an_image_of_another_size_are_refused(tmp_path):
    source = instances(tmp_path, [{"category_id": 1, "bbox": [16, 12, 32, 24]}], width=128, height=96)
    with pytest.raises(DataError, match=r"another size than the source says .*\(64, 48\), not \(128, 96\)"):
        imported(source, "grounding")


def test_coco_captions_of_an_image_belong_together(tmp_path):
    images = [{"id": i, "file_name": picture(tmp_path, f"{i}.png", i)} for i in range(30)]
    annotations = [{"id": i, "image_id": i // 3, "caption": f"caption {i}"} for i in range(90)]
    imported(write_json(tmp_path, coco(images, annotations)), "caption", shares=IN_THREE)
    out = tmp_path / "out"
    assert all(len(record["references"]) == 3 for record in split(out, "test"))
    assert len(split(out)) == 3 * len({record["image"] for record in split(out)})


@pytest.mark.parametrize(
    ("document", "task", "reason"),
    [
        ({"images": []}, "caption", "no list 'annotations'"),
        ({"images": [], "annotations": []}, "caption", "has no annotations; the test files"),
        (coco([], [{"caption": "x"}]), "grounding", "no annotation with 'bbox'.*they have: caption"),
        (coco([], [{"bbox": []}]), "caption", "no annotation with 'caption'"),
        (coco([], [{"caption": "x"}]), "vqa", "no questions; import CSV or JSONL"),
        ([{"conversations": []}], "vqa", "holds a list.*LLaVA file needs no import"),
        (coco([], [{"bbox": [], "iscrowd": 1}]), "grounding", "every annotation is passed over"),
    ],
)
def test_a_coco_file_that_is_not_for_the_task_is_refused(tmp_path, document, task, reason):
    with pytest.raises(DataError, match=reason):
        imported(write_json(tmp_path, document), task)


def test_a_coco_file_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "coco.json").write_text('{"images": ')
    with pytest.raises(DataError, match=r"coco.json is not JSON"):
        imported(tmp_path / "coco.json", "caption")


def test_images_of_the_same_bytes_are_kept_once(tmp_path):
    rows = questions(tmp_path, 2)
    shutil.copy(tmp_path / "0.png", tmp_path / "copy.png")
    rows.append({"image": "copy.png", "question": "again ?", "answer": "yes"})
    done = imported(write_csv(tmp_path, rows))
    assert (done.images, done.same_images) == (2, 1)
    assert split(tmp_path / "out")[0]["image"] == split(tmp_path / "out")[2]["image"]


def test_images_are_copied_by_default_and_linked_on_request(tmp_path):
    source = write_csv(tmp_path, questions(tmp_path, 1))
    imported(source)
    imported(source, out=tmp_path / "linked", link=True)
    (copied,) = (tmp_path / "out/images").rglob("*.png")
    (linked,) = (tmp_path / "linked/images").rglob("*.png")
    assert not copied.samefile(tmp_path / "0.png")
    assert linked.samefile(tmp_path / "0.png")


def test_the_same_import_gives_the_same_bytes(tmp_path):
    source = write_csv(tmp_path, questions(tmp_path, 40))
    for out in ("one", "two"):
        imported(source, out=tmp_path / out, shares=IN_THREE)
    files = [
        sorted((p.relative_to(tmp_path / o), p.read_bytes()) for p in (tmp_path / o).rglob("*.*") if p.is_file())
        for o in ("one", "two")
    ]
    assert files[0] == files[1]


class Killed(BaseException):
    """What SIGKILL would leave behind, without the process."""


def test_a_killed_import_goes_on_where_it_stopped_and_nobody_saw_half_of_it(tmp_path, monkeypatch):
    source = write_csv(tmp_path, questions(tmp_path, 5))
    copied = []
    real = shutil.copyfile

    def copy_three(origin, target):
        if len(copied) == 3:
            target.write_bytes(b"half")
            raise Killed
        copied.append(os.path.basename(origin))
        return real(origin, target)

    monkeypatch.setattr(staging.shutil, "copyfile", copy_three)
    with pytest.raises(Killed):
        imported(source)
    assert not (tmp_path / "out").exists()
    copied.clear()
    imported(source)
    assert len(copied) == 2
    assert len(list((tmp_path / "out/images").rglob("*.png"))) == 5
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.*") if p.suffix in (".part", ".jsonl")) == []
    assert not (tmp_path / ".out.importing").exists()


def test_images_that_were_checked_are_not_decoded_again(tmp_path, monkeypatch):
    source = write_csv(tmp_path, questions(tmp_path, 3))
    monkeypatch.setattr(staging.shutil, "copyfile", _fails)
    with pytest.raises(OSError, match="full"):
        imported(source)
    monkeypatch.undo()
    # Same length, same time: as the journal has it. That it is not opened shows in that nobody finds it broken.
    status = (tmp_path / "1.png").stat()
    (tmp_path / "1.png").write_bytes(b"x" * status.st_size)
    os.utime(tmp_path / "1.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert imported(source).dropped == ()
    picture(tmp_path, "1.png", 77)


def _fails(_origin, _target):
    raise OSError(28, "full")


def test_an_import_that_a_volume_refused_leaves_no_folder_and_no_half_image(tmp_path, monkeypatch):
    source = write_csv(tmp_path, questions(tmp_path, 3))
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 100, 0))
    with pytest.raises(DataError, match=r"GB free; choose another --out, or --link"):
        imported(source)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / ".out.importing").exists()


def test_a_folder_that_is_taken_is_not_touched(tmp_path):
    source = write_csv(tmp_path, questions(tmp_path, 3))
    (tmp_path / "out").mkdir()
    imported(source)
    before = (tmp_path / "out/train.json").read_bytes()
    with pytest.raises(DataError, match="holds an import already; --replace"):
        imported(source, seed=1)
    assert (tmp_path / "out/train.json").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x")
    with pytest.raises(DataError, match="not empty, and nothing that an import made"):
        imported(source, out=tmp_path / "mine", replace=True)
    with pytest.raises(DataError, match="is a file"):
        imported(source, out=tmp_path / "0.png")


def test_an_import_takes_the_place_of_an_earlier_one_on_request(tmp_path):
    rows = questions(tmp_path, 3)
    imported(write_csv(tmp_path, rows[:2]))
    (old,) = [
        p for p in (tmp_path / "out/images").rglob("*.png") if p.read_bytes() == (tmp_path / "0.png").read_bytes()
    ]
    inode = old.stat().st_ino
    imported(write_csv(tmp_path, [rows[0], rows[2]]), replace=True)
    kept = list((tmp_path / "out/images").rglob("*.png"))
    assert len(kept) == 2
    assert inode in {p.stat().st_ino for p in kept}
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_a_replacement_that_was_killed_between_its_renames_loses_nothing(tmp_path):
    source = write_csv(tmp_path, questions(tmp_path, 3))
    imported(source)
    os.rename(tmp_path / "out", tmp_path / ".out.replaced")
    with pytest.raises(DataError, match="holds an import already"):
        imported(source)
    assert (tmp_path / "out/train.json").exists()


def test_every_setting_that_divides_the_data_is_in_the_report(tmp_path):
    source = write_csv(tmp_path, questions(tmp_path, 3, patient="p1"))
    imported(source, columns=Columns("image", "answer", "question", group="patient"))
    told = json.loads((tmp_path / "out/report.json").read_text())
    assert told["settings"]["groupBy"] == "patient"
    assert told["splits"] == {"train": {"records": 3, "images": 3, "groups": 1}}
    assert str(tmp_path) not in json.dumps(told)


def test_progress_is_told(tmp_path):
    told = []
    run(wanted(write_csv(tmp_path, questions(tmp_path, 3))), lambda *step: told.append(step))
    assert ("checking images", 3, 3) in told
    assert ("placing images", 3, 3) in told


def test_the_default_columns_name_what_each_task_reads():
    assert dict(VQA.named()) == {"--image": "image", "--question": "question", "--answer": "answer"}
    assert dict(CAPTION.named()) == {"--image": "image", "--answer": "caption"}
    assert dict(BOXES.named()) == {"--image": "image", "--question": "expression", "--box": "box"}
