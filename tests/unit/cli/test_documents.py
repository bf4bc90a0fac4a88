"""Files that people write, with the place of every fault."""

from pathlib import Path

import pytest

RUN = """\
apiVersion: pilot/v1alpha1
kind: Run
metadata: {name: digits}
spec:
  model: digits-tiny
  method: pilot
  rounds: [stage-1, stage-2]
  training:
    learning_rate:
      stage-1: {connector: 1.0e-3, text: 1.0e-3}
    effective_batch_size: 16
"""

FAULTS = {
    "an unknown key": (
        ("effective_batch_size: 16", "efective_batch_size: 16"),
        ["11:5: unknown key 'efective_batch_size' (did you mean 'effective_batch_size'?)"],
    ),
    "an unknown key behind an alias": (
        ("connector: 1.0e-3", "conector: 1.0e-3"),
        ["10:17: unknown key 'conector' (did you mean 'connector'?)", "10:7: this key is required"],
    ),
    "a wrong type": (("effective_batch_size: 16", "effective_batch_size: many"), ["11:5: "]),
    "a wrong value": (("stage-1: {connector: 1.0e-3", "stage-1: {connector: -1.0"), ["10:17: "]),
    "an item of a list": (("[stage-1, stage-2]", "[stage-1, stage-3]"), ["7:21: "]),
    "a missing key": (("  model: digits-tiny\n", ""), ["4:1: this key is required"]),
    "a name that is none": (("{name: digits}", "{name: Digits}"), ["3:12: 'Digits' is not a name"]),
    "a combination": (
        ("[stage-1, stage-2]", "[stage-2]"),
        ["7:12: stage-2 builds on the task adapters of a stage-1 round"],
    ),
    "two faults": (
        ("method: pilot", "method: pilots\n  rouns: 1"),
        ["6:3: ", "7:3: unknown key 'rouns' (did you mean 'rounds'?)"],
    ),
    "an unknown kind": (("kind: Run", "kind: Rune"), ["2:1: unknown kind 'Rune' (did you mean 'Run'?)"]),
    "no kind": (("kind: Run\n", ""), ["1:1: unknown kind None"]),
}


def write(folder, text):
    path = Path(folder, "run.yaml")
    path.write_text(text)
    return path


def test_a_sound_file_is_said_to_be_valid(pilot, elsewhere):
    write(elsewhere, RUN)
    told = pilot("validate", "-f", "run.yaml")
    assert (told.code, told.out, told.err) == (0, "run.yaml: a valid Run\n", "")


@pytest.mark.parametrize(("change", "places"), FAULTS.values(), ids=FAULTS)
def test_every_fault_is_told_with_line_column_and_suggestion(pilot, elsewhere, change, places):
    assert RUN.count(change[0]) == 1
    write(elsewhere, RUN.replace(*change))
    told = pilot("validate", "-f", "run.yaml")
    assert (told.code, told.out) == (2, "")
    assert "run.yaml is not valid" in told.err
    for place in places:
        assert f"run.yaml:{place}" in told.err


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: [1, 2", "line 1"), ("a: b: c\n", "line 1"), ("", "unknown kind None"), ("- 1\n", "unknown kind None")],
)
def test_a_file_that_is_no_document(pilot, elsewhere, text, said):
    write(elsewhere, text)
    told = pilot("validate", "-f", "run.yaml")
    assert told.code == 2
    assert said in told.err


def test_a_file_that_is_not_there(pilot):
    told = pilot("validate", "-f", "nowhere.yaml")
    assert (told.code, "nowhere.yaml cannot be read" in told.err) == (2, True)


def test_the_files_of_a_federation_and_a_dataset_are_checked_too(pilot, elsewhere):
    federation = """\
apiVersion: pilot/v1alpha1
kind: Federation
metadata: {name: f}
spec:
  models: [{name: tiny, path: m}]
  tasks: [{name: vqa}]
  clients: [{name: vqa-1, task: vqa, data: d}]
"""
    write(elsewhere, federation)
    assert pilot("validate", "-f", "run.yaml").out == "run.yaml: a valid Federation\n"
    write(elsewhere, federation.replace("task: vqa,", "task: vqas,"))
    assert "client 'vqa-1' has the unknown task 'vqas'; tasks: vqa" in pilot("validate", "-f", "run.yaml").err
    dataset = """\
apiVersion: pilot/v1alpha1
kind: Dataset
metadata: {name: d}
spec: {task: grounding, metric: iou, splits: {train: {file: train.json}}}
"""
    write(elsewhere, dataset)
    assert "metric 'iou' needs box_frame" in pilot("validate", "-f", "run.yaml").err
    write(elsewhere, dataset.replace("metric: iou", "metric: iou, box_frame: padded"))
    assert pilot("validate", "-f", "run.yaml").out == "run.yaml: a valid Dataset\n"
