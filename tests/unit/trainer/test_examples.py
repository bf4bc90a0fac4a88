"""Examples: what the model reads of a client's records."""

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image
from pilot_data.dataset import read_description
from pilot_data.errors import DataError
from pilot_trainer.examples import questions, training_data


def record(question, answer, **changes):
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": "1", "image": "a.png", "conversations": turns, **changes}


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


def test_training_data_counts_what_was_cut_and_what_was_left_out(tmp_path, chat):
    rows = [record("<image> which ?", "three")] * 198 + [record("<image> which ?", "a b c d e f g h")]
    rows += [record("<image> " + "which " * 40, "three")]
    folder = write_dataset(tmp_path, rows)
    data = training_data(folder, read_description(folder), chat, max_length=24)
    assert (len(data.examples), data.truncated, data.dropped) == (199, 1, 1)
    assert max(len(example.encoded.ids) for example in data.examples) == 24


def test_a_prompt_that_leaves_no_room_for_answers_is_explained(tmp_path, chat):
    folder = write_dataset(tmp_path, [record("<image> which ?", "three")])
    with pytest.raises(DataError, match="no answer token fits in max_length 16"):
        training_data(folder, read_description(folder), chat, max_length=16)


def test_questions_are_the_first_of_the_split_in_order(tmp_path, chat):
    rows = [record("<image> which ?", str(i), references=[str(i)]) for i in range(5)]
    folder = write_dataset(tmp_path, rows)
    asked = questions(folder, read_description(folder), chat, "train", 3)
    assert asked.references == (("0",), ("1",), ("2",))
    assert asked.images == (folder / "a.png",) * 3
