import copy
from typing import Any, get_args

import pytest
from pilot_proto.base import as_json
from pilot_proto.presets import PRESETS, expand
from pilot_proto.problem import InvalidDocument
from pilot_proto.run import RunSpec


def run(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "pilot/v1alpha1",
        "kind": "Run",
        "metadata": {"name": "digits"},
        "spec": {"model": "digits-tiny", **spec},
    }


def spec_of(**spec: Any) -> dict[str, Any]:
    """The expanded spec as it is stored and shown."""
    return as_json(expand(run(**spec)))["spec"]


def faults(**spec: Any) -> dict[str, str]:
    """Pointer to hint."""
    with pytest.raises(InvalidDocument) as caught:
        expand(run(**spec))
    return {fault.pointer: fault.hint for fault in caught.value.errors}


def test_every_method_that_a_run_may_name_has_a_preset():
    assert set(PRESETS) == set(get_args(RunSpec.model_fields["method"].annotation))


def test_pilot_is_the_default_and_means_the_papers_values():
    spec = spec_of()
    assert spec["method"] == "pilot"
    assert spec["rounds"] == ["stage-1", "stage-2", "stage-2"]
    assert spec["merge"] == {
        "connector": {"rule": "per-task-mean"},
        "text": {
            "rule": "nearest",
            "neighbours": 6,
            "metric": "euclidean",
            "combine": "convex",
            "weight_cap": 1.0,
        },
    }
    training = spec["training"]
    assert training["learning_rate"]["stage-1"] == {"connector": 2e-5, "text": 2e-5}
    assert training["learning_rate"]["stage-2"] == {"connector": 4e-5, "text": 4e-5}
    assert (training["lora"]["r"], training["lora"]["lora_alpha"]) == (64, 128)
    assert {name: training["losses"][name] for name in ("difference", "balance", "z")} == {
        "difference": 0.1,
        "balance": 0.1,
        "z": 0.01,
    }


@pytest.mark.parametrize(("method", "rule"), [("local", "none"), ("fedavg", "mean")])
def test_a_baseline_trains_plainly_and_brings_no_option_of_pilots_rules(method: str, rule: str):
    spec = spec_of(method=method)
    assert spec["rounds"] == ["plain", "plain", "plain"]
    assert spec["merge"] == {"connector": {"rule": rule}, "text": {"rule": rule}}


def test_what_is_expanded_is_complete_and_expands_to_itself():
    for method in PRESETS:
        once = expand(run(method=method))
        assert expand(as_json(once)) == once


def test_what_was_written_wins_and_its_neighbours_stay():
    spec = spec_of(merge={"text": {"neighbours": 2}}, training={"lora": {"r": 8}}, participation={"quorum": 3})
    assert spec["merge"]["text"]["neighbours"] == 2
    assert spec["merge"]["text"]["metric"] == "euclidean"
    assert spec["training"]["lora"] == {**spec_of()["training"]["lora"], "r": 8}
    assert spec["participation"]["quorum"] == 3


def test_the_same_rule_written_again_keeps_the_presets_options():
    assert spec_of(merge={"text": {"rule": "nearest", "neighbours": 2}})["merge"]["text"]["combine"] == "convex"


def test_another_rule_brings_none_of_the_old_options():
    assert spec_of(merge={"text": {"rule": "mean"}})["merge"]["text"] == {"rule": "mean"}


def test_expanding_changes_neither_the_preset_nor_what_was_written():
    presets, written = copy.deepcopy(PRESETS), run(merge={"text": {"neighbours": 2}})
    before = copy.deepcopy(written)
    expand(written)
    assert before == written
    assert presets == PRESETS


@pytest.mark.parametrize(
    ("spec", "pointer", "way_out"),
    [
        pytest.param(
            {"merge": {"connector": {"rule": "mean"}}},
            "/spec/merge/connector/rule",
            "use 'per-task-mean'",
            id="stage 2 without task adapters",
        ),
        pytest.param({"rounds": ["stage-1", "plain"]}, "/spec/rounds", "in every round, or in none", id="mixed rounds"),
        pytest.param({"rounds": ["stage-2"]}, "/spec/rounds/0", "start with stage-1", id="stage 2 on nothing"),
        pytest.param(
            {"training": {"micro_batch_size": 3}},
            "/spec/training/micro_batch_size",
            "choose a divisor",
            id="a micro-batch that does not divide",
        ),
        pytest.param(
            {"training": {"micro_batch_size": 0}},
            "/spec/training/micro_batch_size",
            "choose a divisor",
            id="a micro-batch of nothing",
        ),
    ],
)
def test_a_contradiction_is_refused_with_its_place_and_a_way_out(spec: dict[str, Any], pointer: str, way_out: str):
    found = faults(**spec)
    assert list(found) == [pointer]
    assert way_out in found[pointer]


def test_all_contradictions_are_named_at_once():
    found = faults(rounds=["stage-2", "plain"], merge={"connector": {"rule": "none"}})
    assert set(found) == {"/spec/merge/connector/rule", "/spec/rounds", "/spec/rounds/0"}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"rounds": ["stage-2"], "start_from": {"run": "older", "round": 1}}, id="stage 2 on another run"),
        pytest.param({"rounds": ["stage-1"], "merge": {"connector": {"rule": "mean"}}}, id="stage 1 with a mean"),
        pytest.param({"training": {"micro_batch_size": 8}}, id="a divisor"),
        pytest.param({"clients": ["vqa-1"]}, id="a list of clients"),
        pytest.param({"participation": {"quorum": "100%"}}, id="everybody"),
    ],
)
def test_what_contradicts_nothing_is_accepted(spec: dict[str, Any]):
    assert expand(run(**spec))


def test_a_method_that_does_not_exist_is_one_fault_with_the_nearest_name():
    assert faults(method="fedagv") == {"/spec/method": "did you mean 'fedavg'?"}
