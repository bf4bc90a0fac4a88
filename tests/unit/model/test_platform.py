"""Options that a machine may lack, LoRA targets that fit nothing, and digests that are remembered."""

import json
import os
import shutil

import pytest
import torch
from pilot_digits.models import DIGITS_TINY
from pilot_model import platform
from pilot_model.errors import DoesNotFit, ModelError
from pilot_model.fingerprint import cached_digest
from pilot_model.lora import TextAdapter
from pilot_model.model import load_base, model_digest
from pilot_proto.training import Lora
from pydantic import ValidationError
from transformers.quantizers.quantizers_utils import should_convert_module

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_attention_is_computed_as_told_and_gives_the_same_within_rounding(base, attention):
    other = load_base(DIGITS_TINY, "fp32", CPU, attention=attention)
    ids = torch.tensor([[1, 54, 55, 53, 8]])
    assert (base.attention, other.attention) == ("sdpa", attention)
    assert torch.allclose(base.llava(input_ids=ids).logits, other.llava(input_ids=ids).logits, atol=1e-4)


def test_flash_attention_is_refused_with_everything_that_it_lacks():
    with pytest.raises(ModelError, match=r"runs on a GPU only; precision is fp32.*flash-attn.*Use auto"):
        platform.attention_options("flash_attention_2", "fp32", CPU)
    with pytest.raises(ModelError) as caught:
        platform.attention_options("flash_attention_2", "bf16", GPU)
    assert "GPU only" not in str(caught.value)
    assert "fp32" not in str(caught.value)


def test_a_quantized_base_is_refused_where_there_is_no_gpu_or_no_package():
    with pytest.raises(ModelError, match=r"base_quantization nf4 needs a GPU.*'cpu'"):
        load_base(DIGITS_TINY, "bf16", CPU, quantization="nf4")
    with pytest.raises(ModelError, match=r"int8 needs the package bitsandbytes.*pilot-model\[quantized\]"):
        platform.quantization_options("int8", GPU)


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_only_the_linear_layers_of_the_language_model_are_quantized(base, quantization):
    config = platform.quantization_config(quantization)
    assert config.load_in_8bit == (quantization == "int8")
    linears = [name for name, m in base.llava.named_modules() if isinstance(m, torch.nn.Linear)]
    taken = [name for name in linears if should_convert_module(name, config.llm_int8_skip_modules)]
    assert len(taken) == 3 * 7
    assert all(name.startswith("model.language_model.layers.") for name in taken)
    assert len(linears) > len(taken)


def test_a_pattern_of_ones_own_adapts_what_it_matches(base):
    adapter = TextAdapter(base.llava, Lora(r=4, target_modules=r".*language_model\.layers\.[01]\.mlp\.down_proj"))
    assert {name.split(".")[5] for name in adapter.tensors()} == {"0", "1"}
    assert len(adapter.tensors()) == 4


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (r".*language_model\.layers\.\d+\.attn\.q_proj", r"matches none of the 21 linear layers.*self_attn\.q_proj"),
        (r"language_model\.layers\.0\.mlp\.up_proj", r"must match the whole name.*layers\.0\.mlp\.up_proj"),
        (r".*\.q_proj", r"3 layers outside of the language model, first model\.vision_tower.*only what stands below"),
        (r".*linear_1.*|.*multi.modal.*", r"outside of the language model, first model\.multi_modal_projector"),
    ],
)
def test_a_target_that_matches_nothing_or_too_much_is_refused_with_the_nearest_names(base, target, message):
    with pytest.raises(DoesNotFit, match=message):
        TextAdapter(base.llava, Lora(r=4, target_modules=target))
    assert not any("lora_" in name for name, _ in base.llava.named_parameters())


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("language-liner", r"did you mean 'language-linear'\? use language-linear, attention, query-value"),
        ("q_proj", "or a regular expression over whole module names"),
        (r".*layers\.(0", "is no regular expression"),
        ("." * 301, "at most 300"),
    ],
)
def test_a_target_that_cannot_be_right_is_refused_when_it_is_written(target, message):
    with pytest.raises(ValidationError, match=message):
        Lora(target_modules=target)


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(DIGITS_TINY, tmp_path / "model")
    return tmp_path / "model"


def reads(caplog) -> int:
    return sum(record.getMessage() == "base model read" for record in caplog.records)


@pytest.fixture
def told(caplog):
    caplog.set_level("INFO")
    return caplog


def test_a_digest_is_computed_once_and_says_how_much_it_read(folder, tmp_path, told):
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert cached_digest(folder, tmp_path / "cache") == model_digest(folder)
    assert told.records[0].bytes == size
    assert told.records[0].seconds >= 0
    assert cached_digest(folder, tmp_path / "cache") == model_digest(folder)
    assert reads(told) == 1


def test_only_a_file_that_changed_is_read_again(folder, tmp_path, told):
    before = cached_digest(folder, tmp_path / "cache")
    (folder / "generation_config.json").write_text("{}")
    after = cached_digest(folder, tmp_path / "cache")
    assert after == model_digest(folder) != before
    assert told.records[-1].bytes == 2


def test_a_file_replaced_by_another_of_the_same_size_and_time_is_noticed(folder, tmp_path):
    cached_digest(folder, tmp_path / "cache")
    file = folder / "config.json"
    facts = file.stat()
    text = file.read_text().replace('"mlp_bias": false', '"mlp_bias": FALSE')
    file.write_text(text)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert file.stat().st_size == facts.st_size
    assert cached_digest(folder, tmp_path / "cache") == model_digest(folder)


@pytest.mark.parametrize("damage", [b"", b"[]", b"{", b"\xff\xfe", json.dumps({"x": "sha256:short"}).encode()])
def test_a_damaged_cache_is_as_good_as_none(folder, tmp_path, damage, told):
    cached_digest(folder, tmp_path / "cache")
    (cache,) = (tmp_path / "cache").iterdir()
    cache.write_bytes(damage)
    assert cached_digest(folder, tmp_path / "cache") == model_digest(folder)
    assert reads(told) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(folder, tmp_path, told):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert cached_digest(folder, tmp_path / "cache") == model_digest(folder)
    assert told.records[-1].getMessage() == "digest not remembered"
    assert (tmp_path / "cache").read_text().startswith("a file")


def test_two_models_have_two_caches(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    cached_digest(folder, tmp_path / "cache")
    cached_digest(other, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2
