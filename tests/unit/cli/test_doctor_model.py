"""`pilot doctor --model`: what it says of folders that are and are not what Pilot trains."""

import json
import shutil

import pytest
from pilot_digits.models import DIGITS_TINY
from pilot_model.model import model_digest
from safetensors.torch import load_file, save_file


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(DIGITS_TINY, tmp_path / "model")


def changed(folder, name="config.json", **values):
    file = folder / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_a_good_model_is_described_line_by_line(pilot, folder):
    told = pilot("doctor", "--model", folder)
    assert told.code == 0
    assert "fail" not in told.out
    for said in (
        "702,816 numbers: 702,816 in F32 (2.8 MB)",
        "image tokens: 16 per image (32 px in patches of 8), 96 wide",
        "projector: 96 - 96 - 96, 18,624 numbers",
        "language-linear adapts 21 layers",
        f"digest: {model_digest(folder)}",
        "licence: not stated",
    ):
        assert said in told.out


def test_the_original_layout_is_named_with_its_conversion(pilot, folder):
    changed(folder, architectures=["LlavaLlamaForCausalLM"], mm_vision_tower="openai/clip-vit-large-patch14-336")
    told = pilot("doctor", "--model", folder)
    assert told.code == 1
    assert "original LLaVA layout" in told.out
    assert "next: python src/transformers/models/llava/convert_llava_weights_to_hf.py --text_model_id" in told.out
    assert "digest" not in told.out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"model_type": "qwen2_vl"}', "a model of type 'qwen2_vl'"),
        ("[1]", "holds no JSON object"),
        ("{", "config.json cannot be read"),
    ],
)
def test_another_model_is_named_by_its_type(pilot, folder, content, said):
    (folder / "config.json").write_text(content)
    told = pilot("doctor", "--model", folder)
    assert told.code == 1
    assert said in told.out


def test_a_folder_that_is_not_there_is_no_model(pilot, tmp_path):
    assert "cannot be read" in pilot("doctor", "--model", tmp_path / "nowhere").out


def test_shards_that_the_index_names_and_nobody_downloaded(pilot, folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    save_file(weights, folder / "model-00001-of-00003.safetensors", metadata={"format": "pt"})
    names = {name: f"model-0000{1 + i % 3}-of-00003.safetensors" for i, name in enumerate(weights)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    told = pilot("doctor", "--model", folder)
    assert told.code == 1
    assert "2 of 3 are absent: model-00002-of-00003.safetensors, model-00003-of-00003.safetensors" in told.out


def test_a_pickle_instead_of_safetensors_is_recognised(pilot, folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    told = pilot("doctor", "--model", folder)
    assert "1 of 1 are absent: model.safetensors" in told.out
    assert "next: pytorch_model.bin is a pickle, which is not loaded" in told.out


def test_a_truncated_file_is_found_without_reading_it(pilot, folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    told = pilot("doctor", "--model", folder)
    assert told.code == 1
    assert "the tensors end at byte" in told.out


def test_what_is_missing_beside_the_weights_is_listed(pilot, folder):
    for name in ("tokenizer.json", "processor_config.json", "chat_template.jinja"):
        (folder / name).unlink()
    told = pilot("doctor", "--model", folder)
    assert "tokenizer: absent: tokenizer.json or tokenizer.model" in told.out
    assert "processor: absent: processor_config.json or preprocessor_config.json" in told.out
    assert "chat template: absent" in told.out


def test_a_chat_template_may_stand_in_the_tokenizers_config(pilot, folder):
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    changed(folder, "tokenizer_config.json", chat_template=template)
    assert "chat template: in tokenizer_config.json" in pilot("doctor", "--model", folder).out


def test_weights_of_another_model_do_not_fit_the_config(pilot, folder):
    config = json.loads((folder / "config.json").read_text())
    changed(folder, vision_config={**config["vision_config"], "hidden_size": 128})
    told = pilot("doctor", "--model", folder)
    assert told.code == 1
    assert "linear_1.weight is of shape [96, 96], config.json says [96, 128]" in told.out


def test_weights_that_are_not_there_are_counted(pilot, folder):
    weights = load_file(folder / "model.safetensors")
    kept = {name: t for name, t in weights.items() if ".layers.2." not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    told = pilot("doctor", "--model", folder)
    assert told.code == 1
    assert "7 of 21 linear layers of the language model are absent" in told.out


def test_a_lora_target_that_matches_nothing_is_told_with_the_nearest_names(pilot, folder):
    told = pilot("doctor", "--model", folder, "--lora-target", r".*layers\.\d+\.attn\.q_proj")
    assert told.code == 1
    assert "matches none of the 21 linear layers" in told.out
    assert "self_attn.q_proj" in told.out
    assert "next: set training.lora.target_modules" in told.out


def test_the_licence_is_read_from_the_cards_front_matter(pilot, folder):
    (folder / "README.md").write_text("---\nlicense: llama2\ntags: [x]\n---\n# A model\n")
    assert "licence: llama2" in pilot("doctor", "--model", folder).out
    for text in ("# no front matter", "---\n: : :\n---\n", "---\n- a\n---\n", "\xff"):
        (folder / "README.md").write_text(text)
        assert "licence: not stated" in pilot("doctor", "--model", folder).out
