import json

import numpy as np
import pytest
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.folders import merge_folders
from pilot_proto.run import Rule

CONFIG = {
    "peft_type": "LORA",
    "base_model_name_or_path": "a-base",
    "r": 2,
    "lora_alpha": 4,
    "target_modules": ["q_proj", "v_proj"],
}
NEAREST = Rule(rule="nearest", neighbours=1)


@pytest.fixture
def folder(save, lora, tmp_path):
    def make(name, seed, **changes):
        made = tmp_path / name
        made.mkdir(parents=True)
        save(f"{name}-tensors".replace("/", "-"), lora(seed)).rename(made / "adapter_model.safetensors")
        (made / "adapter_config.json").write_text(json.dumps(CONFIG | changes))
        return made

    return make


def tree(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


def test_a_per_client_rule_makes_a_folder_per_input(folder, tmp_path, lora, load):
    out = tmp_path / "out"
    done = merge_folders([folder("b", 1), folder("a", 0)], out, NEAREST, weights=[30, 10])
    assert tree(out) == sorted(
        ["plan.json", *(f"{name}/adapter_{part}" for name in "ab" for part in ("config.json", "model.safetensors"))]
    )
    plan = json.loads((out / "plan.json").read_text())
    assert plan == done.plan
    assert (plan["names"], plan["outputs"], plan["weights"]) == (["a", "b"], ["a", "b"], [10, 30])
    assert plan["coefficients"] == [[0.25, 0.75], [0.25, 0.75]]
    assert np.array(plan["distances"]).shape == (2, 2)
    for name, tensor in load(out / "a/adapter_model.safetensors").items():
        np.testing.assert_allclose(tensor, 0.25 * lora(0)[name] + 0.75 * lora(1)[name], rtol=1e-5, atol=1e-7)


def test_a_mean_is_called_merged(folder, tmp_path):
    done = merge_folders([folder("a", 0), folder("b", 1)], tmp_path / "out", Rule(rule="mean"))
    assert tree(tmp_path / "out") == ["merged/adapter_config.json", "merged/adapter_model.safetensors", "plan.json"]
    assert done.plan["coefficients"] == [[0.5, 0.5]]


def test_a_per_task_rule_makes_a_folder_per_task(folder, tmp_path, load):
    sources = [folder("a", 0), folder("b", 1), folder("c", 2)]
    merge_folders(sources, tmp_path / "out", Rule(rule="per-task-mean"), tasks=["vqa", "caption", "vqa"])
    assert {file.split("/")[0] for file in tree(tmp_path / "out")} == {"vqa", "caption", "plan.json"}
    alone = (tmp_path / "out/caption/adapter_model.safetensors").read_bytes()
    assert alone == (sources[1] / "adapter_model.safetensors").read_bytes()


def test_single_files_are_inputs_too(save, lora, tmp_path):
    merge_folders([save("a", lora(0)), save("b", lora(1))], tmp_path / "out", Rule(rule="none"))
    assert tree(tmp_path / "out") == ["a/adapter_model.safetensors", "b/adapter_model.safetensors", "plan.json"]


def test_equal_folder_names_are_made_unique(folder, tmp_path):
    sources = [folder("one/adapter", 0), folder("two/adapter", 1), folder("three/adapter-2", 2)]
    done = merge_folders(sources, tmp_path / "out", Rule(rule="none"))
    assert done.plan["names"] == ["adapter", "adapter-2", "adapter-3"]


def test_target_modules_in_another_order_are_the_same_setting(folder, tmp_path):
    other = folder("b", 1, target_modules=["v_proj", "q_proj"], use_rslora=False, rank_pattern={})
    merge_folders([folder("a", 0), other], tmp_path / "out", Rule(rule="mean"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r": 4}, "r is 4 in 'b' and 2 in 'a'"),
        ({"lora_alpha": 8}, "lora_alpha is 8 in 'b' and 4 in 'a'"),
        ({"target_modules": ["q_proj"]}, "target_modules is "),
        ({"base_model_name_or_path": "another"}, "base_model_name_or_path is \"another\" in 'b'"),
        ({"use_rslora": True}, "use_rslora is true in 'b' and absent in 'a'"),
    ],
)
def test_adapters_that_mean_different_functions_are_refused(folder, tmp_path, changes, message):
    sources = [folder("a", 0), folder("b", 1, **changes)]
    before = tree(tmp_path)
    with pytest.raises(MergeRefused, match=message):
        merge_folders(sources, tmp_path / "out", Rule(rule="mean"))
    assert tree(tmp_path) == before


def test_a_number_that_is_not_finite_is_refused_and_nothing_is_written(folder, save, lora, tmp_path):
    sources = [folder("a", 0), folder("b", 1)]
    spoilt = lora(1)
    spoilt[min(spoilt)][0, 0] = np.inf
    save("spoilt", spoilt).rename(sources[1] / "adapter_model.safetensors")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(MergeRefused, match="input 'b': tensor"):
        merge_folders(sources, tmp_path / "out", NEAREST)
    assert sorted(tmp_path.iterdir()) == before


def test_an_occupied_out_is_refused_and_left_as_it_is(folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("keep")
    with pytest.raises(MergeRefused, match="exists already"):
        merge_folders([folder("a", 0)], out, NEAREST)
    assert tree(out) == ["mine"]


def test_an_empty_out_is_used(folder, tmp_path):
    (tmp_path / "out").mkdir()
    merge_folders([folder("a", 0)], tmp_path / "out", NEAREST)
    assert "plan.json" in tree(tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": [1]}, "1 weights for 2 inputs"),
        ({"tasks": ["a", "b", "c"]}, "3 tasks for 2 inputs"),
        ({"weights": [1, 0]}, "at least 1 each"),
        ({"metric": "cosine"}, "metric 'cosine' is unknown"),
        ({"metric": "euclidean-delta"}, "give the base"),
        ({"tasks": ["../up", "b"], "rule": Rule(rule="per-task-mean")}, "cannot be the name of a folder"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(folder, tmp_path, arguments, message):
    with pytest.raises(MergeRefused, match=message):
        merge_folders([folder("a", 0), folder("b", 1)], tmp_path / "out", **{"rule": Rule(rule="mean"), **arguments})
    assert not (tmp_path / "out").exists()


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MergeRefused, match=r"has no adapter_config.json"):
        merge_folders([tmp_path / "empty"], tmp_path / "out", NEAREST)
    with pytest.raises(MergeRefused, match="does not exist"):
        merge_folders([tmp_path / "nowhere"], tmp_path / "out", NEAREST)


def test_a_file_beside_a_folder_is_refused(folder, save, lora, tmp_path):
    with pytest.raises(MergeRefused, match=r"one has an adapter_config.json and one has not"):
        merge_folders([folder("a", 0), save("b", lora(1))], tmp_path / "out", NEAREST)


def test_a_base_makes_the_delta_metric_usable(folder, save, lora, tmp_path):
    done = merge_folders(
        [folder("a", 0), folder("b", 1)],
        tmp_path / "out",
        NEAREST,
        metric="euclidean-delta",
        base=save("base", lora(9)),
    )
    assert done.plan["metric"] == "euclidean-delta"
