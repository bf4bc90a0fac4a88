"""The text adapter: which layers, which start, which names, and what is refused."""

import json

import pytest
import torch
from peft import PeftModel
from pilot_digits.models import DIGITS_TINY
from pilot_model.errors import DoesNotFit
from pilot_model.lora import TextAdapter, adapter_config
from pilot_model.model import load_base
from pilot_proto.training import Lora
from pilot_trainer.results import write_tensors

SMALL = Lora(r=4, lora_alpha=8, lora_dropout=0.0)
PER_LAYER = {"language-linear": 7, "attention": 4, "query-value": 2}


def logits(llava):
    ids = torch.tensor([[1, 54, 55, 53, 8]])
    return llava(input_ids=ids).logits


@pytest.mark.parametrize("targets", sorted(PER_LAYER))
def test_only_linear_layers_of_the_language_model_are_adapted(base, targets):
    adapter = TextAdapter(base.llava, Lora(r=4, target_modules=targets))
    names = list(adapter.tensors())
    assert len(names) == 2 * 3 * PER_LAYER[targets]
    assert all(name.startswith("base_model.model.model.language_model.layers.") for name in names)
    assert {p.requires_grad for n, p in base.llava.named_parameters() if "lora_" not in n} == {False}


def test_the_start_changes_nothing_and_depends_on_the_seed_only(base):
    before = logits(base.llava)
    adapter = TextAdapter(base.llava, SMALL)
    start = adapter.start(seed=3)
    adapter.load(start)
    assert torch.equal(logits(base.llava), before)
    again, other = adapter.start(seed=3), adapter.start(seed=4)
    assert all(torch.equal(t, again[name]) for name, t in start.items())
    assert any(not torch.equal(t, other[name]) for name, t in start.items())
    for name, t in start.items():
        assert t.count_nonzero() == 0 if "lora_B" in name else 0 < t.abs().max() <= t.shape[1] ** -0.5


def noise(adapter: TextAdapter) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return {name: torch.randn(t.shape, generator=g) * 0.1 for name, t in adapter.tensors().items()}


def test_what_is_loaded_comes_back_as_float32_copies(base):
    adapter = TextAdapter(base.llava, SMALL)
    given = noise(adapter)
    adapter.load(given)
    found = adapter.tensors()
    assert all(torch.equal(t, found[name]) and t.dtype == torch.float32 for name, t in given.items())
    next(iter(found.values())).zero_()
    assert torch.equal(next(iter(adapter.tensors().values())), next(iter(given.values())))


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape"])
def test_tensors_that_do_not_fit_are_refused_by_name(base, fault):
    adapter = TextAdapter(base.llava, SMALL)
    tensors = adapter.tensors()
    first = sorted(tensors)[0]
    if fault == "missing":
        del tensors[first]
    elif fault == "unexpected":
        tensors["base_model.extra"] = torch.zeros(1)
        first = "base_model.extra"
    else:
        tensors[first] = torch.zeros(1, 1)
    with pytest.raises(DoesNotFit, match=rf"1 tensors differ, first {first}"):
        adapter.load(tensors)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_plain_peft_loads_an_upload_and_computes_the_same(base, tmp_path):
    adapter = TextAdapter(base.llava, SMALL)
    adapter.load(noise(adapter))
    write_tensors(tmp_path / "adapter_model.safetensors", adapter.tensors())
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter_config(SMALL, "digits-tiny")))
    stock = load_base(DIGITS_TINY, "fp32", torch.device("cpu")).llava
    assert not torch.equal(logits(stock), logits(base.llava))
    loaded = PeftModel.from_pretrained(stock, tmp_path).eval()
    assert torch.equal(logits(loaded), logits(base.llava))


def test_the_description_names_no_path_and_no_version():
    text = json.dumps(adapter_config(SMALL, "digits-tiny"))
    assert "version" not in text
    assert str(DIGITS_TINY) not in text
