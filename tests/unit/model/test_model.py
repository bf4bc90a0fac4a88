"""The base model: layouts, digests, features; and LLaVA-1.5-7B in shapes only."""

import json
import shutil

import pytest
import torch
from pilot_digits.models import DIGITS_TINY
from pilot_model.connector import Branch
from pilot_model.errors import ModelError
from pilot_model.lora import TextAdapter
from pilot_model.model import check_layout, load_base, model_digest, visual_features
from pilot_model.parts import Sources
from pilot_proto.training import ClientAdapter, Connector, Lora
from pilot_trainer.initial import start_of_training
from pilot_trainer.movement import adapter_of
from pilot_trainer.student import Student
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

CPU = torch.device("cpu")
PROJECTOR_7B = 20_979_712
LORA_7B = 159_907_840
TASKS = ("caption", "grounding", "vqa")


def test_a_base_is_frozen_and_remembers_its_projector(base):
    assert not any(p.requires_grad for p in base.llava.parameters())
    assert base.psi_0.keys() == {"linear_1.weight", "linear_1.bias", "linear_2.weight", "linear_2.bias"}
    assert (base.num_image_tokens, base.visual_width) == (16, 96)
    H = torch.randn(1, 16, 96)
    assert torch.equal(Branch(base.psi_0, base.act)(H), base.llava.model.multi_modal_projector(H))


def test_features_are_what_the_projector_would_have_read(base):
    pixels = torch.randn(2, 3, 32, 32)
    mine = visual_features(base.llava, pixels)
    base.llava.model.multi_modal_projector = nn.Identity()
    theirs = torch.stack(list(base.llava.model.get_image_features(pixels).pooler_output))
    assert torch.equal(mine, theirs)


@pytest.mark.parametrize("layers", [-2, [-2, -1]])
def test_the_configured_feature_layers_are_used(base, layers):
    base.llava.config.vision_feature_layer = layers
    pixels = torch.randn(1, 3, 32, 32)
    width = 96 * (len(layers) if isinstance(layers, list) else 1)
    assert visual_features(base.llava, pixels).shape == (1, 16, width)


def copied(tmp_path, **changes):
    folder = tmp_path / "model"
    shutil.copytree(DIGITS_TINY, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return folder


def test_the_original_llava_layout_is_recognised_and_the_conversion_named(tmp_path):
    folder = copied(
        tmp_path, model_type="llava", mm_vision_tower="openai/clip", architectures=["LlavaLlamaForCausalLM"]
    )
    with pytest.raises(ModelError, match=r"original LLaVA layout.*convert_llava_weights_to_hf"):
        check_layout(folder)


def test_other_models_and_other_folders_are_refused(tmp_path):
    with pytest.raises(ModelError, match="type 'llama'"):
        check_layout(copied(tmp_path, model_type="llama"))
    with pytest.raises(ModelError, match="no model folder"):
        check_layout(tmp_path / "nowhere")


def test_missing_weights_are_refused_rather_than_drawn_at_random(tmp_path):
    folder = copied(tmp_path)
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in sorted(weights) if "multi_modal_projector" in name)
    del weights[gone]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights.*multi_modal_projector"):
        load_base(folder, "fp32", CPU)


def test_the_digest_is_of_the_files_that_make_the_model(tmp_path):
    folder = copied(tmp_path)
    before = model_digest(folder)
    (folder / "README.md").write_text("hello")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.json").write_text("{}")
    assert model_digest(folder) == before
    (folder / "generation_config.json").write_text("{}")
    assert model_digest(folder) != before


@pytest.fixture(scope="module")
def llava_7b() -> LlavaForConditionalGeneration:
    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        projection_dim=768,
    )
    text = LlamaConfig(
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=32,
        vocab_size=32064,
    )
    with torch.device("meta"):
        return LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=text)).requires_grad_(False)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def adapter_7b(llava_7b) -> TextAdapter:
    with torch.device("meta"):
        return TextAdapter(llava_7b, Lora())


def trained_7b(llava, program: str) -> dict[str, int]:
    """Trained parameters of LLaVA-1.5-7B by adapter."""
    with torch.device("meta"):
        psi = {
            "linear_1.weight": torch.empty(4096, 1024),
            "linear_1.bias": torch.empty(4096),
            "linear_2.weight": torch.empty(4096, 4096),
            "linear_2.bias": torch.empty(4096),
        }
    private = {f"{branch}.{name}": t for branch in ("task", "client") for name, t in psi.items()}
    sources = Sources(psi, psi, dict.fromkeys(TASKS, psi), private if program == "stage-2" else {})
    settings = Connector(client_adapter=ClientAdapter(init="zero-output"))
    llava.model.multi_modal_projector = start_of_training(program, "vqa", sources, settings, nn.GELU(), 0)
    student = Student(llava, settings=None)
    sizes: dict[str, int] = {}
    for name, p in student.named_parameters():
        if p.requires_grad:
            sizes[adapter_of(name)] = sizes.get(adapter_of(name), 0) + p.numel()
    return sizes


def test_llava_1_5_7b_has_the_sizes_that_were_counted(llava_7b):
    assert count(llava_7b) == 7_063_427_072
    assert count(llava_7b.model.vision_tower) == 303_507_456
    assert count(llava_7b.model.multi_modal_projector) == PROJECTOR_7B


def test_each_program_trains_exactly_its_adapters_at_7b(llava_7b, adapter_7b):
    text = {"text": LORA_7B}
    assert sum(t.numel() for t in adapter_7b.parameters().values()) == LORA_7B
    assert trained_7b(llava_7b, "plain") == {**text, "task": PROJECTOR_7B}
    assert trained_7b(llava_7b, "stage-1") == {**text, "task": PROJECTOR_7B, "client": PROJECTOR_7B}
    foreign = {"cross.caption": PROJECTOR_7B, "cross.grounding": PROJECTOR_7B}
    assert trained_7b(llava_7b, "stage-2") == {**text, "task": PROJECTOR_7B, "router": 3_075, **foreign}


def test_the_trained_names_at_7b_are_exactly_these(llava_7b, adapter_7b):
    trained_7b(llava_7b, "stage-2")
    psi = ["linear_1.bias", "linear_1.weight", "linear_2.bias", "linear_2.weight"]
    adapters = ["task", "cross.caption", "cross.grounding"]
    connector = {f"model.multi_modal_projector.{a}.{p}" for a in adapters for p in psi}
    connector |= {f"model.multi_modal_projector.router.{p}" for p in ("bias", "weight")}
    linears = [f"self_attn.{x}_proj" for x in "qkvo"] + [f"mlp.{x}_proj" for x in ("gate", "up", "down")]
    text = {
        f"model.language_model.layers.{i}.{linear}.lora_{x}.default.weight"
        for i in range(32)
        for linear in linears
        for x in "AB"
    }
    assert {name for name, p in llava_7b.named_parameters() if p.requires_grad} == connector | text


def test_stage_2_at_7b_holds_the_moa_that_was_counted(llava_7b, adapter_7b):
    trained_7b(llava_7b, "stage-2")
    connector = llava_7b.model.multi_modal_projector
    moa = count(connector) - count(connector.client)
    assert moa == 5 * PROJECTOR_7B + 3_075
    assert round(5 * PROJECTOR_7B / 1e6, 1) == 104.9
