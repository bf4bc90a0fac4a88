"""Each program, for real: what it moves, keeps, uploads and measures."""

import json

import pytest
import torch
from pilot_digits.models import DIGITS_TINY
from pilot_trainer.predict import predict
from pilot_trainer.program import run
from pilot_trainer.results import find_result
from safetensors.torch import load_file

pytestmark = pytest.mark.training


def private(site) -> dict[str, torch.Tensor]:
    return find_result(site.state, site.private.update).private()


def moved(before, after) -> bool:
    assert before.keys() == after.keys()
    return any(not torch.equal(t, after[name]) for name, t in before.items())


def part(tensors, prefix):
    return {name: t for name, t in tensors.items() if name.startswith(prefix)}


def values(update) -> dict[str, float]:
    return {f"{e.point}({e.round})": e.value for e in update.evaluations}


def test_prepare_makes_what_every_client_starts_from(site):
    update = site.go(0, "prepare")
    text, connector = site.uploaded("text/adapter_model.safetensors"), site.uploaded("connector/model.safetensors")
    stock = load_file(DIGITS_TINY / "model.safetensors")
    for name, tensor in connector.items():
        (found,) = [t for key, t in stock.items() if key.endswith(f"multi_modal_projector.{name}")]
        assert torch.equal(tensor, found)
    assert all(t.count_nonzero() == 0 for name, t in text.items() if "lora_B" in name)
    assert all(t.dtype == torch.float32 for t in (text | connector).values())
    assert update.adapters["connector"].num_parameters == 18_624
    assert (update.private_state, update.num_examples, update.evaluations) == (None, 0, ())
    assert update.model.name == "digits-tiny"
    configs = {path for path in site.services.last().files if path.endswith("config.json")}
    assert configs == {"text/adapter_config.json", "connector/config.json"}


def test_prepare_gives_the_same_bytes_every_time_and_others_for_another_seed(site, tmp_path):
    first = site.go(0, "prepare").adapters
    again = site.fresh(tmp_path / "again").go(0, "prepare").adapters
    other = site.fresh(tmp_path / "other").go(0, "prepare", seed=1).adapters
    assert first == again
    assert other["text"] != first["text"]
    assert other["connector"] == first["connector"]


def test_plain_trains_one_connector_and_the_text_adapter(prepared):
    base = prepared.uploaded("connector/model.safetensors")
    update = prepared.go(1, "plain", (("merged", 0), ("local", 1)))
    assert set(update.losses) == {"total", "cross_entropy"}
    assert update.losses["cross_entropy"].last < update.losses["cross_entropy"].first
    assert moved(base, prepared.uploaded("connector/model.safetensors"))
    state = private(prepared)
    assert {name.split(".")[1] for name in part(state, "connector.")} == {"task"}
    assert set(values(update)) == {"merged(0)", "local(1)"}


def test_a_whole_run_of_one_client(prepared):
    """Everybody publishes what this client uploaded, so `merged(r)` must measure what `local(r)` measured."""
    base = prepared.uploaded("text/adapter_model.safetensors")
    first = prepared.go(1, "stage-1", (("merged", 0), ("local", 1)))
    after_1, published_1 = private(prepared), prepared.uploaded("connector/model.safetensors")
    assert set(first.losses) == {"total", "cross_entropy", "difference"}
    assert moved(base, prepared.uploaded("text/adapter_model.safetensors"))
    assert {name.split(".")[1] for name in part(after_1, "connector.")} == {"task", "client"}
    assert all(torch.equal(t, published_1[name[15:]]) for name, t in part(after_1, "connector.task.").items())

    second = prepared.go(2, "stage-2", (("merged", 1), ("local", 2)))
    after_2 = private(prepared)
    assert set(second.losses) == {"total", "cross_entropy", "balance", "z"}
    assert not moved(part(after_1, "connector.client."), part(after_2, "connector.client."))
    for name, tensor in part(after_2, "connector.foreign.caption.").items():
        assert torch.equal(tensor, published_1[name.removeprefix("connector.foreign.caption.")])
    assert list(second.router) == ["caption", "grounding", "vqa"]
    assert sum(second.router.values()) == pytest.approx(1)
    assert values(second)["merged(1)"] == values(first)["local(1)"]

    third = prepared.go(3, "stage-2", (("merged", 2), ("local", 3)))
    after_3 = private(prepared)
    for adapter in ("task", "cross.caption", "cross.grounding", "router"):
        assert moved(part(after_2, f"connector.{adapter}."), part(after_3, f"connector.{adapter}."))
    assert set(third.adapters) == {"text", "connector"}

    last = prepared.go(4, "evaluate", (("merged", 3),))
    assert last.adapters == {}
    assert last.private_state is None
    assert set(values(last)) == {"merged(3)"}
    scores = last.evaluations[0].scores
    assert len(scores) == last.evaluations[0].samples == 12
    assert last.evaluations[0].value == pytest.approx(sum(scores) / 12)


def test_what_is_uploaded_keeps_the_schema_that_prepare_set(prepared):
    def schema(path):
        return {name: (t.shape, t.dtype) for name, t in prepared.uploaded(path).items()}

    paths = ("text/adapter_model.safetensors", "connector/model.safetensors")
    before = [schema(path) for path in paths]
    for number, program in ((1, "stage-1"), (2, "stage-2")):
        prepared.go(number, program)
        assert [schema(path) for path in paths] == before
    assert set(prepared.services.last().files) == {*paths, "update.json"}


def test_an_update_names_its_assignment_its_samples_and_its_inputs(prepared):
    update = prepared.go(1, "stage-1")
    manifest = prepared.services.last()
    records = json.loads((prepared.data / "vqa-1" / "train.json").read_text())
    assert update.num_examples == manifest.num_examples == len(records)
    assert update.steps == 2 * -(-len(records) // 8)
    assert (update.dropped, update.truncated) == (0, 0)
    assert (manifest.repo, manifest.kind, manifest.contributors) == ("digits/client-vqa-1-update", "update", ("vqa-1",))
    assert {parent.repo for parent in manifest.parents} == {"digits/client-vqa-1-text", "digits/task-vqa-connector"}
    assert b"state" not in b"".join(path.encode() for path in manifest.files)


@pytest.mark.parametrize("client", ["caption-1", "grounding-1"])
def test_the_other_tasks_train_and_are_measured_by_their_metric(prepared, client):
    prepared.client = client
    update = prepared.go(1, "stage-1", (("merged", 0), ("local", 1)))
    metric, detail = {"caption-1": ("cider", "tokenizer"), "grounding-1": ("iou", "mean_iou")}[client]
    for evaluation in update.evaluations:
        assert evaluation.metric == metric
        assert detail in evaluation.detail
        assert all(0 <= s <= (10 if metric == "cider" else 1) for s in evaluation.scores)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bf16"},
        {"gradient_checkpointing": True, "attn_implementation": "eager"},
        {"micro_batch_size": 4},
        {"optimiser_state": "kept"},
        {"connector": {"router": {"gating": "top-k", "per": "image"}, "client_adapter": {"in_stage_2": "drop"}}},
        {"connector": {"client_adapter": {"init": "none"}}},
        {"losses": {"cross_entropy": "answer-mean", "difference_form": {"over": "batch"}, "balance_over": "image"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_settings_that_the_paper_leaves_open_all_train(prepared, changes):
    prepared.settings |= {"num_train_epochs": 1, **changes}
    first = prepared.go(1, "stage-1")
    second = prepared.go(2, "stage-2")
    assert second.losses["total"].mean < first.losses["total"].first
    used = second.execution
    wanted = {name: value for name, value in changes.items() if name in type(used).model_fields}
    settings = {"device": "cpu", "precision": "fp32", "micro_batch_size": 8, "gradient_checkpointing": False}
    assert used.model_dump() == settings | {"attn_implementation": "sdpa", "base_quantization": "none"} | wanted
    assert all(t.dtype == torch.float32 for t in private(prepared).values())


def test_a_run_with_kept_moments_differs_from_one_with_fresh_ones(prepared, tmp_path):
    prepared.settings |= {"num_train_epochs": 1, "optimiser_state": "kept"}
    prepared.go(1, "plain")
    kept = prepared.go(2, "plain")
    prepared.settings |= {"optimiser_state": "reset"}
    fresh = prepared.go(2, "plain")
    assert kept.steps == fresh.steps
    assert kept.adapters["text"] != fresh.adapters["text"]


def test_cached_features_train_the_same_as_computed_ones(prepared, tmp_path):
    computing = prepared.fresh(tmp_path / "computing")
    computing.settings = {**prepared.settings, "feature_cache": {"max_bytes": 0}}
    cached, computed = prepared.go(1, "stage-1"), computing.go(1, "stage-1")
    assert any((prepared.state / "features").iterdir())
    assert not (computing.state / "features").exists()
    for name, summary in cached.losses.items():
        assert summary.first == pytest.approx(computed.losses[name].first, rel=1e-5)
        assert summary.mean == pytest.approx(computed.losses[name].mean, rel=1e-3)


def test_a_second_start_uploads_the_result_instead_of_training_again(prepared):
    update = prepared.go(1, "stage-1")
    first = dict(prepared.services.manifests)
    before = len(prepared.services.said("progress"))
    assert run(prepared.environ(incarnation="two")) == 0
    assert prepared.services.manifests == first
    stages = [said["stage"] for said in prepared.services.said("progress")[before:]]
    assert "training" not in stages
    assert prepared.update() == update


def test_a_client_answers_questions_with_its_own_model(prepared):
    prepared.go(1, "stage-1")
    prepared.go(2, "stage-2")
    result = find_result(prepared.state, prepared.private.update)
    image = prepared.data / "vqa-1" / "images" / "test-000000.png"
    answer = predict(DIGITS_TINY, result.folder, image, "how many digits are there ?")
    assert answer.split()
    assert "<" not in answer


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"base_quantization": "nf4"}, 78, "base_quantization nf4 needs a GPU"),
        ({"attn_implementation": "flash_attention_2"}, 78, "flash_attention_2: this machine offers the device 'cpu'"),
        ({"lora": {"target_modules": r".*\.layers\.\d+\.attention\.q"}}, 64, "matches none of the 21 linear layers"),
    ],
)
def test_settings_that_this_machine_or_model_lacks_end_the_attempt_with_the_reason(site, changes, code, words):
    site.settings |= changes
    site.assign(0, "prepare")
    assert run(site.environ()) == code
    (said,) = site.services.said("failure")
    assert words in said["message"]
    assert not site.services.manifests


def test_the_own_connector_is_fetched_once_and_the_model_is_hashed_once(prepared):
    prepared.settings |= {"num_train_epochs": 1}
    prepared.go(1, "stage-1")
    (cache,) = (prepared.state / "models").iterdir()
    before = cache.stat().st_mtime_ns
    prepared.services.fetched.clear()
    prepared.go(2, "stage-2")
    files = [path for path in prepared.services.fetched if path.endswith("/model.safetensors")]
    assert len(files) == len(set(files)) == 1
    assert cache.stat().st_mtime_ns == before
