"""`pilot data import` and `pilot data validate`, as a person calls them."""

import json
import re
import shlex
from pathlib import Path

import pytest
import sample_data
import yaml
from pilot_data.dataset import read_description, read_split

REPOSITORY = Path(__file__).parents[3]
IMPORT = "data import cases.csv --task vqa --group-by patient --out radiology"


@pytest.fixture
def here(elsewhere):
    """A folder with data as people have them."""
    sample_data.write_all(elsewhere)
    return elsewhere


def call(pilot, line):
    return pilot(*shlex.split(line))


def test_every_command_of_the_page_on_own_data_works_in_order(pilot, here):
    page = (REPOSITORY / "docs/own-data.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    assert len(lines) > 8
    for line in lines:
        told = call(pilot, line.removeprefix("pilot "))
        assert told.code == 0, (line, told.out, told.err)


def test_an_import_tells_what_it_made_and_what_comes_next(pilot, here):
    told = call(pilot, IMPORT)
    assert told.code == 0
    assert [line.split() for line in told.out.splitlines()[1:4]] == [
        ["train", "144", "72", "36"],
        ["val", "8", "4", "2"],
        ["test", "8", "4", "2"],
    ]
    assert "next: pilot data validate radiology" in told.out
    spec = read_description(here / "radiology")
    assert len(read_split(here / "radiology", spec, "train").samples) == 144


def test_an_import_tells_what_it_dropped_and_why(pilot, here):
    rows = (here / "cases.csv").read_text()
    (here / "cases.csv").write_text(rows + 'p900,images/no.png,q,a\np900,images/scan-000-0.png,q,""\n')
    told = call(pilot, IMPORT)
    assert "2 of 162 cases dropped:" in told.out
    assert re.search(r"empty answer +1 +line-163", told.out)
    assert re.search(r"image is missing +1 +line-162 images/no.png", told.out)


def test_an_import_says_what_it_passed_over(pilot, here):
    told = call(pilot, "data import instances.json --task grounding --box-frame original --out surgery -o yaml")
    assert yaml.safe_load(told.out)["skipped"]["crowd"] == 1
    assert (
        "passed over: crowd (1)"
        in call(pilot, "data import instances.json --task grounding --box-frame original --out again").out
    )


REFUSALS = {
    "no column": ("--task vqa --answer antwort", 1, "no column 'antwort'.*patient, image.*--answer COLUMN"),
    "a task without boxes": (
        "--task grounding --question question --box-format xywh --box-frame padded",
        1,
        "'box'.*--box",
    ),
    "no frame": ("--task grounding --box-format xywh", 2, "--box-frame is not given.*padded"),
    "no format": ("--task grounding --box-frame padded", 2, "--box-format is not given.*xywh"),
    "a frame for nothing": ("--task vqa --box-frame padded", 2, "not read by --task vqa"),
    "an option for nothing": ("--task caption --question q", 2, "--question 'q' is not read by --task caption"),
    "three box columns": ("--task grounding --box a,b,c --box-format xywh --box-frame padded", 2, "names 3 columns"),
    "wrong shares": ("--task vqa --splits train=.5", 2, "must add up to 1"),
    "a wrong metric": ("--task vqa --metric exakt-match", 2, "did you mean 'exact-match'"),
    "a metric for boxes": ("--task vqa --metric iou", 2, "compares boxes"),
    "a prompt without a place": ("--task vqa --prompt hello", 2, "{question} must stand in it once"),
    "a prompt with a place too many": ("--task caption --answer answer --prompt {question}", 2, "nowhere"),
    "a prompt with an image": ("--task vqa --prompt '<image> {question}'", 2, "holds <image>"),
    "a wrong name": ("--task vqa --client Radiology", 2, "'Radiology' is not a name.*--client"),
    "no images": ("--task vqa --images nowhere", 1, "nowhere is no folder.*--images"),
    "images elsewhere": ("--task vqa --images images", 1, "160 x image is missing.*--images"),
}


@pytest.mark.parametrize(("options", "code", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_a_wrong_import_says_why_and_what_to_do_and_leaves_nothing(pilot, here, options, code, reason):
    before = sorted(here.rglob("*"))
    told = call(pilot, f"data import cases.csv --out out {options}")
    assert told.code == code
    assert re.search(reason.replace("{", r"\{").replace("}", r"\}"), told.err, re.DOTALL), told.err
    assert sorted(here.rglob("*")) == before


def test_options_for_tables_are_refused_for_coco(pilot, here):
    for option in ("--image file", "--box bbox", "--box-format xyxy", "--box-units relative"):
        told = call(pilot, f"data import instances.json --task grounding --box-frame padded --out out {option}")
        assert told.code == 2
        assert "is not read by a COCO file" in told.err


def test_a_prompt_may_be_the_question_alone(pilot, here):
    call(pilot, f"{IMPORT} --prompt '{{question}}' --metric token-f1 --task-name digits --client clinic")
    document = yaml.safe_load((here / "radiology/dataset.yaml").read_text())
    assert document["metadata"]["name"] == "clinic"
    assert (document["spec"]["task"], document["spec"]["metric"]) == ("digits", "token-f1")
    first = json.loads((here / "radiology/train.json").read_text())[0]
    assert first["conversations"][0]["value"].startswith("<image>\nwhich digit")


@pytest.mark.parametrize("name", ["no", "007", "null", "1e3"])
def test_a_client_may_have_a_name_that_yaml_reads_otherwise(pilot, here, name):
    assert call(pilot, f"{IMPORT} --client {name}").code == 0
    assert call(pilot, "validate -f radiology/dataset.yaml").code == 0
    assert yaml.safe_load((here / "radiology/dataset.yaml").read_text())["metadata"]["name"] == name


def test_a_misspelt_metric_is_told_with_its_place_and_the_nearest(pilot, here):
    call(pilot, IMPORT)
    file = here / "radiology/dataset.yaml"
    file.write_text(file.read_text().replace("metric: exact-match", "metric: exact-mach"))
    told = call(pilot, "validate -f radiology/dataset.yaml")
    assert told.code == 2
    assert "radiology/dataset.yaml:7:3: 'exact-mach' is no metric" in told.err
    assert "did you mean 'exact-match'?" in told.err
    assert "did you mean 'exact-match'?" in call(pilot, "data validate radiology").err


def test_validation_of_clean_data_is_silent_about_faults(pilot, here):
    call(pilot, IMPORT)
    told = call(pilot, "data validate radiology --strict")
    assert (told.code, told.err) == (0, "")
    assert "client radiology, task vqa, exact-match" in told.out
    assert "the trainer would take these data" in told.out
    assert "bad:" not in told.out
    assert "warning:" not in told.out


@pytest.fixture
def spoilt(pilot, here):
    """Imported data, ten of whose records have lost their image."""
    call(pilot, IMPORT)
    file = here / "radiology/train.json"
    rows = json.loads(file.read_text())
    for row in rows[:10]:
        row["image"] = "images/gone.png"
    file.write_text(json.dumps(rows))
    return here


def test_validation_lists_bad_records_up_to_the_limit_and_fails(pilot, spoilt):
    told = call(pilot, "data validate radiology --limit 3")
    assert told.code == 1
    assert told.out.count("bad: train.json, record") == 3
    assert "bad: train.json: and 7 more" in told.out
    assert "not fit for training" in told.err


def test_validation_as_json_lists_all_of_them(pilot, spoilt):
    told = call(pilot, "data validate radiology --limit 3 -o json")
    document = json.loads(told.out)
    assert told.code == 1
    assert document["usable"] is False
    (dataset,) = document["datasets"]
    assert [(bad["file"], bad["index"]) for bad in dataset["bad"]] == [("train.json", i) for i in range(10)]
    assert dataset["splits"]["test"]["answerWords"]["max"] == 1


def test_strict_validation_fails_for_a_leak(pilot, here):
    call(pilot, IMPORT)
    (here / "radiology/test.json").write_bytes((here / "radiology/train.json").read_bytes())
    told = call(pilot, "data validate radiology")
    assert told.code == 0
    assert "warning: train and test share 72 images" in told.out
    assert call(pilot, "data validate radiology --strict").code == 1


def test_validation_tells_what_clients_share_and_refuses_one_folder_twice(pilot, here):
    call(pilot, IMPORT)
    call(pilot, f"{IMPORT[:-9]}other")
    told = call(pilot, "data validate radiology other")
    assert told.code == 0
    assert "note: radiology and other have 80 images in common" in told.out
    told = call(pilot, "data validate radiology ./radiology")
    assert told.code == 2
    assert "one folder" in told.err


def test_a_folder_without_a_description_is_refused(pilot, here):
    told = call(pilot, "data validate images")
    assert told.code == 2
    assert "images/dataset.yaml cannot be read" in told.err
