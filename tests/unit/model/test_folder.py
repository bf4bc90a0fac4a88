"""Exported folders: written whole or not at all, and read strictly."""

import json
import shutil
from pathlib import Path

import pilot_model
import pytest
import torch
from pilot_digits.models import DIGITS_TINY
from pilot_model.card import card
from pilot_model.document import BaseReference, Personal
from pilot_model.errors import DoesNotFit, FolderError, ModelError
from pilot_model.exporting import check_room, export, licence_of
from pilot_model.folder import being_written
from pilot_model.lora import TextAdapter
from pilot_model.model import load_base, model_digest
from pilot_model.personal import Parts
from pilot_proto.training import Lora, Router

LORA = Lora(r=4, lora_alpha=8)
ZERO = "sha256:" + "0" * 64


def about(**changes) -> Personal:
    facts = {
        "run": "digits",
        "uid": "u",
        "round": 1,
        "client": "vqa-1",
        "task": "vqa",
        "point": "merged",
        "base": BaseReference(name="digits-tiny", digest=model_digest(DIGITS_TINY), path=str(DIGITS_TINY)),
        "program": "stage-1",
        "client_adapter": True,
        "lora": LORA,
        "text": "adapter",
        "precision": "fp32",
        "files": {},
    }
    return Personal(**facts | changes)


@pytest.fixture(scope="module")
def parts() -> Parts:
    base = load_base(DIGITS_TINY, "fp32", torch.device("cpu"))
    text = TextAdapter(base.llava, LORA).start(0)
    connector = {f"{branch}.{name}": t.clone() for branch in ("task", "client") for name, t in base.psi_0.items()}
    return Parts("stage-1", "vqa", Router(), connector, LORA, text)


@pytest.fixture(scope="module")
def written(parts, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(about(), parts, DIGITS_TINY, folder)
    return folder


@pytest.fixture
def folder(written, tmp_path) -> Path:
    return shutil.copytree(written, tmp_path / "model")


def changed(folder: Path, **changes) -> Path:
    file = folder / "personal.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return folder


def test_a_folder_is_loaded_from_any_place(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    model, processor = pilot_model.load("model")
    assert pilot_model.answer(model, processor, "how many digits are there ?", max_new_tokens=2)
    assert model.generation_config.max_new_tokens == 64


def test_the_clients_own_limit_is_the_default_of_generate(parts, tmp_path):
    export(about(max_new_tokens=3), parts, DIGITS_TINY, tmp_path / "model")
    model, processor = pilot_model.load(tmp_path / "model")
    inputs = processor(text="how many digits are there ?", return_tensors="pt")
    assert model.generate(**inputs, eos_token_id=-1).shape[1] == inputs["input_ids"].shape[1] + 3


def test_the_card_may_be_edited(folder):
    (folder / "README.md").write_text("Ours.")
    pilot_model.load(folder)


def test_a_folder_that_nobody_exported_is_named(tmp_path):
    with pytest.raises(FolderError, match=r"no exported model: personal\.json cannot be read.*pilot export"):
        pilot_model.load(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{", '{"schema_version": "pilot/v2"}'])
def test_a_document_of_another_kind_is_refused(folder, text):
    (folder / "personal.json").write_text(text)
    with pytest.raises(FolderError, match=r"cannot be read|schema version"):
        pilot_model.load(folder)


@pytest.mark.parametrize(
    ("changes", "where"),
    [({"program": "stage-9"}, "program"), ({"routing": "new"}, "routing"), ({"lora": {"rank": 4}}, "lora.rank")],
)
def test_a_document_with_a_fault_says_where(folder, changes, where):
    with pytest.raises(FolderError, match=rf"personal\.json: {where}"):
        pilot_model.load(changed(folder, **changes))


@pytest.mark.parametrize("name", ["connector.safetensors", "text/adapter_model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FolderError, match=rf"{name} is missing"):
        pilot_model.load(folder)


def test_a_file_that_changed_is_named_unless_nobody_looks(folder):
    file = folder / "connector.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(FolderError, match=r"connector\.safetensors is not what was exported"):
        pilot_model.load(folder)
    pilot_model.load(folder, verify=False)


def test_another_base_is_refused_unless_nobody_looks(folder, tmp_path):
    other = shutil.copytree(DIGITS_TINY, tmp_path / "other")
    (other / "extra.json").write_text("{}")
    with pytest.raises(ModelError, match=r"other has the digest .* was tuned on digits-tiny with sha256"):
        pilot_model.load(folder, base=other)
    pilot_model.load(folder, base=other, verify=False)


def test_the_base_is_looked_for_where_it_is_said_to_be_then_where_it_was(folder, tmp_path, monkeypatch):
    moved = shutil.copytree(DIGITS_TINY, tmp_path / "moved")
    lost = {"name": "digits-tiny", "digest": model_digest(DIGITS_TINY), "path": "/nowhere"}
    changed(folder, base=lost)
    with pytest.raises(ModelError, match=r"digits-tiny is not at /nowhere.*base=FOLDER\) or PILOT_BASE_MODEL"):
        pilot_model.load(folder)
    pilot_model.load(folder, base=moved)
    monkeypatch.setenv("PILOT_BASE_MODEL", str(moved))
    pilot_model.load(folder)


def test_a_lora_of_another_setting_does_not_fit(folder):
    with pytest.raises(DoesNotFit, match="does not fit this model and LoRA setting"):
        pilot_model.load(changed(folder, lora={"r": 8, "lora_alpha": 8}))


def test_a_precision_that_is_not_offered_is_refused(folder):
    with pytest.raises(FolderError, match=r"torch\.float16 is not offered; use torch\.bfloat16 or torch\.float32"):
        pilot_model.load(folder, dtype=torch.float16)


# -- writing


def test_a_failure_leaves_nothing(tmp_path):
    def half() -> None:
        with being_written(tmp_path / "out") as draft:
            (draft / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert not any(tmp_path.iterdir())


def test_a_draft_of_a_process_that_died_is_no_hindrance(tmp_path):
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "old").write_text("x")
    with being_written(tmp_path / "out") as draft:
        (draft / "new").write_text("x")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]


def test_an_adapter_that_does_not_fit_is_found_before_weights_are_written(parts, tmp_path):
    with pytest.raises(DoesNotFit):
        export(
            about(text="folded", lora=Lora(r=8)),
            Parts(**vars(parts) | {"lora": Lora(r=8)}),
            DIGITS_TINY,
            tmp_path / "x",
        )
    assert not any(tmp_path.iterdir())


def test_a_folder_that_is_no_base_is_refused(parts, tmp_path):
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        export(about(), parts, tmp_path / "gone", tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_a_disk_that_is_too_small_is_named():
    check_room(10, 10, Path("/disk"))
    with pytest.raises(FolderError, match=r"takes 14\.1 GB, and /disk has 2\.0 GB free; choose another disk"):
        check_room(14_100_000_000, 2_000_000_000, Path("/disk"))


# -- the card


def test_the_licence_is_what_the_bases_own_card_names(tmp_path):
    assert licence_of(tmp_path) is None
    (tmp_path / "README.md").write_text("---\ntags: [x]\n---\nlicense: none of this\n")
    assert licence_of(tmp_path) is None
    (tmp_path / "README.md").write_text("---\nlanguage:\n- en\nlicense: llama2\n---\nA model.")
    assert licence_of(tmp_path) == "llama2"
    text = card(about(), "llama2")
    assert "license: llama2" in text
    assert "bound by the base model's licence, llama2." in text
    assert "see its own card" in card(about(), None)


def test_the_card_says_who_can_load_it():
    assert "needs `pilot_model`" in card(about(), None)
    plain = about(program="plain", client_adapter=False, text="folded")
    assert "stock transformers loads it too" in card(plain, None)
