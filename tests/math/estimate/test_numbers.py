"""What is counted from config.json alone, against published numbers, real models and real files."""

import json

import pytest
import torch
from pilot_cli.estimate import storage
from pilot_cli.estimate.memory import num_language, num_vision
from pilot_cli.estimate.numbers import count, file_bytes, numbers, text_tensors
from pilot_digits.models import DIGITS_TINY
from pilot_model.lora import TextAdapter
from pilot_model.model import load_base
from pilot_model.parts import Sources
from pilot_proto.llava import NotLlava, module_of, read_llava
from pilot_proto.model_folder import read_config, stored_weights
from pilot_proto.presets import expand
from pilot_proto.training import Lora, Training
from pilot_trainer.initial import start_of_training
from pilot_trainer.results import write_tensors
from transformers import LlavaConfig, LlavaForConditionalGeneration

SEVEN = read_llava({"model_type": "llava", "text_config": {"model_type": "llama", "vocab_size": 32064}})
TINY = read_llava(read_config(DIGITS_TINY))
P = 20_979_712
LORA = 159_907_840
TASKS = ("caption", "grounding", "vqa")


@pytest.mark.parametrize(
    ("lora", "expected"),
    [
        ({}, LORA),
        ({"r": 128}, 319_815_680),
        ({"target_modules": "query-value"}, 33_554_432),
        ({"target_modules": "attention"}, 67_108_864),
        ({"target_modules": r".*language_model\.layers\.\d+\.mlp\..*"}, 92_798_976),
    ],
)
def test_lora_on_vicuna_7b_has_the_published_sizes(lora, expected):
    assert count(text_tensors(SEVEN, Lora(**lora))) == expected


def test_the_parts_of_llava_7b_have_the_published_sizes():
    assert count(SEVEN.connector()) == P
    assert num_vision(SEVEN) == 303_507_456
    vicuna = SEVEN.model_copy(update={"text_config": SEVEN.text_config.model_copy(update={"vocab_size": 32000})})
    assert num_language(vicuna) == 6_738_415_616
    assert num_language(SEVEN) + num_vision(SEVEN) + P == 7_063_427_072
    assert (SEVEN.num_image_tokens, SEVEN.visual_width, SEVEN.width) == (576, 1024, 4096)


@pytest.mark.parametrize(
    ("program", "tasks", "trained", "frozen"),
    [
        ("plain", 3, P, 0),
        ("stage-1", 3, 2 * P, 0),
        ("stage-2", 3, 3 * P + 3_075, 3 * P),
        ("stage-2", 20, 20 * P + 20_500, 20 * P),
        ("stage-2", 1, P + 1_025, P),
    ],
)
def test_a_stage_trains_and_holds_what_the_method_says(program, tasks, trained, frozen):
    found = numbers(SEVEN, Training(), program, tasks)
    assert (found.connector_trained, found.connector_frozen, found.text) == (trained, frozen, LORA)


def test_the_mixture_of_adapters_has_the_published_sizes():
    """T task and T - 1 cross-task adapters, without psi^s and the router: 104.9 M, 818.2 M and 2077.0 M."""
    without = Training.model_validate({"connector": {"client_adapter": {"in_stage_2": "drop"}}})
    for tasks, millions in ((3, 104.9), (20, 818.2), (50, 2077.0)):
        found = numbers(SEVEN, without, "stage-2", tasks)
        moa = found.connector_trained + found.connector_frozen - tasks * 1025
        assert round(moa / 1e6, 1) == millions


SETTINGS = [
    {},
    {"connector": {"client_adapter": {"init": "none"}}},
    {"connector": {"client_adapter": {"in_stage_2": "drop"}}},
    {"connector": {"client_adapter": {"in_stage_2": "add-trained"}}},
    {"lora": {"target_modules": "attention"}},
]


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_a_real_model_trains_exactly_what_was_counted(changes):
    training = Training.model_validate({**changes, "lora": {"r": 8, **changes.get("lora", {})}})
    base = load_base(DIGITS_TINY, "fp32", torch.device("cpu"))
    adapter = TextAdapter(base.llava, training.lora)
    private = {}
    for program in ("plain", "stage-1", "stage-2"):
        sources = Sources(base.psi_0, base.psi_0, dict.fromkeys(TASKS, base.psi_0), private)
        connector = start_of_training(program, "vqa", sources, training.connector, base.act, 0)
        private = {name: t.detach() for name, t in connector.state_dict().items()} if program == "stage-1" else {}
        trained = sum(p.numel() for p in connector.parameters() if p.requires_grad)
        found = numbers(TINY, training, program, len(TASKS))
        assert found.connector_trained == trained
        assert found.connector_frozen == sum(p.numel() for p in connector.parameters()) - trained
        assert found.text == sum(p.numel() for p in adapter.parameters().values())


def test_the_names_and_shapes_of_the_7b_model_are_those_that_transformers_builds():
    with torch.device("meta"):
        llava = LlavaForConditionalGeneration(LlavaConfig(text_config={"model_type": "llama", "vocab_size": 32064}))
    linears = {
        name: tuple(module.weight.shape)
        for name, module in llava.model.language_model.named_modules(prefix="model.language_model")
        if isinstance(module, torch.nn.Linear)
    }
    assert SEVEN.language_linears() == linears
    projector = {name: tuple(t.shape) for name, t in llava.model.multi_modal_projector.state_dict().items()}
    assert SEVEN.connector() == projector
    total = sum(p.numel() for p in llava.parameters())
    assert num_language(SEVEN) + num_vision(SEVEN) + count(SEVEN.connector()) == total


def test_every_tensor_on_disk_is_known_by_its_module():
    weights = stored_weights(DIGITS_TINY)
    modules = {module_of(name) for name in weights.tensors}
    base = load_base(DIGITS_TINY, "fp32", torch.device("cpu"))
    assert modules <= set(base.llava.state_dict())
    assert {f"{name}.weight" for name in TINY.language_linears()} <= modules


def test_a_file_is_as_large_as_the_library_writes_it(tmp_path):
    """176,392 bytes is what a client of the demo uploads as its text adapter."""
    text = text_tensors(TINY, Lora(r=8))
    for number, tensors in enumerate((text, TINY.connector(), {"x": (3,)})):
        file = tmp_path / f"{number}.safetensors"
        write_tensors(file, {name: torch.zeros(shape) for name, shape in tensors.items()})
        assert file_bytes(tensors) == file.stat().st_size
    assert file_bytes(text) == 176_392


def test_one_aggregation_moves_what_the_paper_s_numbers_give():
    """Up 180.9 M numbers, down 222.8 M, at r = 64, all seven linears, three tasks."""
    sizes = storage.files(SEVEN, Training())
    header = sizes.text - 4 * LORA
    assert 0 < header < 100_000
    assert round((sizes.update - header) / 4e6, 1) == 180.9
    assert int((storage.download(sizes, "stage-2", 3) - header) / 4e5) / 10 == 222.8
    assert storage.download(sizes, "stage-1", 3) == sizes.update


def spec(**changes):
    document = {"model": "m", "rounds": ["stage-1", "stage-2", "stage-2"], **changes}
    return expand({"apiVersion": "pilot/v1alpha1", "kind": "Run", "metadata": {"name": "r"}, "spec": document}).spec


@pytest.mark.parametrize(
    ("retention", "peak_raw", "end_raw"), [("after-publish", 1, 0), ("until-run-ends", 3, 0), ("forever", 3, 3)]
)
def test_the_bucket_holds_outputs_for_ever_and_updates_as_long_as_retention_says(retention, peak_raw, end_raw):
    sizes = storage.Files(text=1000, connector=10)
    found = storage.bucket(sizes, spec(retention={"raw_updates": retention}), clients=9, tasks=3)
    kept = 1010 + 3 * (9 * 1000 + 3 * 10)
    assert found == storage.Bucket(peak=kept + peak_raw * 9 * 1010, end=kept + end_raw * 9 * 1010)


def test_a_rule_that_publishes_updates_as_they_are_stores_them_once():
    sizes = storage.Files(text=1000, connector=10)
    local = spec(method="local", rounds=["plain"], retention={"raw_updates": "forever"})
    assert storage.bucket(sizes, local, clients=9, tasks=3) == storage.Bucket(10 * 1010, 10 * 1010)
    average = spec(method="fedavg", rounds=["plain"])
    assert storage.bucket(sizes, average, clients=9, tasks=3).end == 2 * 1010


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "llama"}, "type 'llama'"),
        ({"model_type": "llava", "mm_vision_tower": "x"}, "original LLaVA layout.*convert_llava_weights_to_hf"),
        ({"model_type": "llava", "text_config": {"model_type": "gpt2"}}, "'gpt2', whose shapes are not known"),
        ({"model_type": "llava", "text_config": {"hidden_size": "wide"}}, "text_config.hidden_size"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_the_reason(config, message):
    with pytest.raises(NotLlava, match=message):
        read_llava(json.loads(json.dumps(config)))
