"""`pilot init`: files that are valid at once, and nothing overwritten."""

import re

import pytest
import sample_data
import yaml
from pilot_cli.skeletons import neighbours
from pilot_cli.starting import model_name

FILES = [
    "data/pathology/dataset.yaml",
    "data/radiology/dataset.yaml",
    "data/surgery/dataset.yaml",
    "federation.yaml",
    "run.yaml",
]


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_every_file_is_valid_at_once_and_explained(pilot, elsewhere):
    told = pilot("init", "hospital", "--model", "models/llava-1.5-7b")
    assert told.code == 0
    assert files(elsewhere / "hospital") == FILES
    for file in FILES:
        assert pilot("validate", "-f", f"hospital/{file}").code == 0
        assert "#" in (elsewhere / "hospital" / file).read_text()


def test_the_files_belong_together(pilot, elsewhere):
    pilot("init", "hospital", "--model", "models/llava-1.5-7b")
    federation = yaml.safe_load((elsewhere / "hospital/federation.yaml").read_text())["spec"]
    run = yaml.safe_load((elsewhere / "hospital/run.yaml").read_text())
    assert run["spec"]["model"] == federation["models"][0]["name"] == "llava-1.5-7b"
    assert run["metadata"]["name"] == "hospital"
    assert federation["models"][0]["path"] == "../models/llava-1.5-7b"
    for client in federation["clients"]:
        dataset = yaml.safe_load((elsewhere / "hospital" / client["data"] / "dataset.yaml").read_text())
        assert (dataset["metadata"]["name"], dataset["spec"]["task"]) == (client["name"], client["task"])


def test_a_model_that_is_not_there_is_a_warning_and_one_that_is_is_none(pilot, elsewhere):
    assert "holds no config.json" in pilot("init", "one", "--model", "models/m").err
    (elsewhere / "models/m").mkdir(parents=True)
    (elsewhere / "models/m/config.json").write_text("{}")
    assert pilot("init", "two", "--model", "models/m").err == ""
    pilot("init", "three", "--model", elsewhere / "models/m")
    federation = yaml.safe_load((elsewhere / "three/federation.yaml").read_text())["spec"]
    assert federation["models"][0]["path"] == str(elsewhere / "models/m")


def test_clients_may_be_named_with_tasks_of_any_name(pilot, elsewhere):
    told = pilot("init", "lab", "--model", "m", "--clients", "a:vqa, b:vqa,no:counting", "--name", "trial")
    assert told.code == 0
    federation = yaml.safe_load((elsewhere / "lab/federation.yaml").read_text())
    assert federation["metadata"]["name"] == "trial"
    assert [(c["name"], c["task"]) for c in federation["spec"]["clients"]] == [
        ("a", "vqa"),
        ("b", "vqa"),
        ("no", "counting"),
    ]
    for file in files(elsewhere / "lab"):
        assert pilot("validate", "-f", f"lab/{file}").code == 0


@pytest.mark.parametrize(
    ("clients", "reason"),
    [
        ("radiology", "names no task.*NAME:TASK"),
        ("Radiology:vqa", "'Radiology' is not a name"),
        ("a:vqa,a:caption", "used twice: a"),
        ("vqa:vqa", "used twice: vqa"),
        ("a:", "'' is not a name"),
    ],
)
def test_clients_that_make_no_federation_are_refused_and_nothing_is_written(pilot, elsewhere, clients, reason):
    told = pilot("init", "lab", "--model", "m", "--clients", clients)
    assert told.code == 2
    assert re.search(reason, told.err, re.DOTALL)
    assert not (elsewhere / "lab").exists()


def test_nothing_is_overwritten(pilot, elsewhere):
    pilot("init", "hospital", "--model", "m")
    (elsewhere / "hospital/run.yaml").write_text("mine")
    (elsewhere / "hospital/federation.yaml").unlink()
    told = pilot("init", "hospital", "--model", "m")
    assert told.code == 2
    assert "hospital/run.yaml" in told.err
    assert (elsewhere / "hospital/run.yaml").read_text() == "mine"
    assert not (elsewhere / "hospital/federation.yaml").exists()


def test_a_folder_whose_name_is_none_asks_for_one(pilot, elsewhere):
    told = pilot("init", "My Hospital", "--model", "m")
    assert told.code == 2
    assert "--name" in told.err


def test_an_import_takes_the_place_of_a_skeleton_but_not_of_a_file_somebody_wrote(pilot, elsewhere):
    sample_data.write_vqa_csv(elsewhere)
    pilot("init", "hospital", "--model", "m")
    command = ("data", "import", "cases.csv", "--task", "vqa", "--out")
    assert pilot(*command, "hospital/data/radiology").code == 0
    assert (elsewhere / "hospital/data/radiology/train.json").exists()
    mine = elsewhere / "hospital/data/surgery/dataset.yaml"
    mine.write_text(mine.read_text().replace("# A skeleton", "# Mine"))
    assert pilot(*command, "hospital/data/surgery").code == 1


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("models/llava-1.5-7b-hf", "llava-1.5-7b-hf"),
        ("LLaVA_1.5--7B", "llava-1.5-7b"),
        ("...", "model"),
        ("x" * 60, "x" * 40),
    ],
)
def test_a_model_is_called_after_its_folder(tmp_path, path, name):
    assert model_name(tmp_path / path) == name


def test_the_neighbours_are_the_papers_share_of_the_others():
    assert [neighbours(count) for count in (1, 2, 3, 4, 9, 30)] == [1, 1, 1, 2, 6, 21]
