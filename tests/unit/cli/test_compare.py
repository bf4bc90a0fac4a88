"""Two runs side by side: what differs, what may be subtracted, and by how much."""

import json

import pytest
from pilot_proto.run import Condition
from pilot_reports import comparison
from pilot_reports.bootstrap import paired_interval
from pilot_reports.comparability import comparable_clients, obstacles
from pilot_reports.specs import beyond_preset, differences, flat
from pilot_reports.transfer import spread, transfers
from unit.reports.histories import client_report, history, report, view

# -- specs


def test_a_spec_is_flat_by_dotted_path_with_every_default():
    found = flat(view().spec)
    assert found["training.lora.r"] == 64
    assert found["rounds"] == ["plain", "plain"]
    assert all(not isinstance(value, dict) or not value for value in found.values())


def test_the_differences_of_two_specs_are_the_fields_that_differ_and_no_others():
    first = view(merge={"text": {"neighbours": 2}}).spec
    second = view(merge={"text": {"rule": "mean"}}, training={"seed": 7}).spec
    found = {d.path: (d.first, d.second) for d in differences(first, second)}
    assert found["training.seed"] == (0, 7)
    assert found["merge.text.rule"] == ("nearest", "mean")
    assert found["merge.text.neighbours"][0] == 2
    assert all(path.startswith(("training.seed", "merge.text.")) for path in found)
    assert differences(first, first) == ()


def test_a_run_as_its_preset_has_it_differs_in_nothing():
    spec = view(method="fedavg", rounds=["plain", "plain", "plain"]).spec
    assert beyond_preset(spec) == ()
    assert [d.path for d in beyond_preset(view(method="fedavg").spec)] == ["rounds"]


# -- what may be compared


def codes(found, forbids=None):
    return [o.code for o in found if forbids is None or o.forbids is forbids]


def test_two_runs_of_the_same_clients_have_no_obstacle():
    reports = (report("a"), report("b"))
    found = obstacles(view("a"), view("b"), reports)
    assert found == ()
    assert comparable_clients(*reports, found) == ("cap-1", "vqa-1", "vqa-2")


@pytest.mark.parametrize(
    ("spec", "code"),
    [({"model": "large"}, "other_model"), ({"evaluation": {"split": "val"}}, "other_split")],
)
def test_another_model_or_split_forbids_every_comparison(spec, code):
    reports = (report("a"), report("b"))
    found = obstacles(view("a"), view("b", **spec), reports)
    assert codes(found) == [code]
    assert comparable_clients(*reports, found) == ()


@pytest.mark.parametrize(
    ("other", "code"),
    [
        (view("b", evaluation={"samples": 50}), "other_samples"),
        (view("b", phase="Training"), "not_ended"),
        (view("b", phase="Failed"), "not_succeeded"),
        (view("b", conditions=(Condition(type="Partial", reason="ClientLost", message="m"),)), "partial"),
        (view("b", start_from={"run": "a", "round": 2}), "started_from"),
    ],
)
def test_what_calls_for_care_is_noted_and_forbids_nothing(other, code):
    reports = (report("a"), report("b"))
    found = obstacles(view("a"), other, reports)
    assert (codes(found, True), codes(found, False)) == ([], [code])
    assert len(comparable_clients(*reports, found)) == 3


def test_a_client_is_left_out_with_the_reason_when_it_is_not_the_same():
    first = report(
        "a", clients=(client_report("one", "vqa", (0.4,), (0.3,)), client_report("two", "vqa", (0.4,), (0.3,)))
    )
    second = report(
        "b",
        clients=(
            client_report("one", "vqa", (0.4,), (0.3,), metric="token-f1"),
            client_report("three", "vqa", (0.4,), (0.3,)),
        ),
    )
    found = obstacles(view("a"), view("b"), (first, second))
    assert {(o.client, o.code) for o in found} == {
        ("one", "other_metric"),
        ("two", "only_in_one"),
        ("three", "only_in_one"),
    }
    assert comparable_clients(first, second, found) == ()


def test_another_task_and_another_beginning_are_told_apart():
    first = report(
        "a", clients=(client_report("one", "vqa", (0.4,), (0.3,)), client_report("two", "vqa", (0.4,), (0.3,)))
    )
    second = report(
        "b",
        clients=(client_report("one", "box", (0.4,), (0.3,)), client_report("two", "vqa", (0.4,), (0.3,), before=0.1)),
    )
    found = obstacles(view("a"), view("b"), (first, second))
    assert codes(found, True) == ["other_task"]
    assert codes(found, False) == ["other_before"]
    assert comparable_clients(first, second, found) == ("two",)


# -- the comparison


def compared(first_clients, second_clients, **spec):
    reports = (report("a", clients=first_clients), report("b", clients=second_clients))
    return comparison.compare((view("a"), view("b", **spec)), reports)


def test_merged_is_compared_with_merged_and_local_with_local():
    found = compared(
        (client_report("one", "vqa", (0.1, 0.5), (0.1, 0.4)), client_report("two", "vqa", (0.1, 0.7), (0.1, 0.2))),
        (client_report("one", "vqa", (0.1, 0.6), (0.1, 0.9)), client_report("two", "vqa", (0.1, 0.8), (0.1, 0.3))),
    )
    (task,) = found.tasks
    assert (task.merged.clients, task.merged.first, task.merged.second) == (2, pytest.approx(0.6), pytest.approx(0.7))
    assert task.merged.difference == pytest.approx(0.1)
    assert task.local.difference == pytest.approx(0.3)
    assert [c.merged.difference for c in found.clients] == [pytest.approx(0.1), pytest.approx(0.1)]


def test_a_task_is_a_mean_over_the_clients_of_both_runs_only():
    found = compared(
        (client_report("one", "vqa", (0.5,), (0.5,)),),
        (client_report("one", "vqa", (0.6,), (0.5,)), client_report("new", "vqa", (1.0,), (1.0,))),
    )
    (task,) = found.tasks
    assert (task.merged.clients, task.merged.second) == (1, 0.6)
    new = next(c for c in found.clients if c.client == "new")
    assert (new.comparable, new.merged.first, new.merged.second, new.merged.difference) == (False, None, 1.0, None)


def test_nothing_is_subtracted_across_models():
    one = (client_report("one", "vqa", (0.5,), (0.5,)),)
    found = compared(one, one, model="large")
    assert (found.tasks[0].merged.difference, found.clients[0].merged.difference) == (None, None)
    assert found.clients[0].merged.second == 0.5


def test_what_was_not_measured_is_missing_and_not_zero():
    found = compared((client_report("one", "vqa", (0.5,), (None,)),), (client_report("one", "vqa", (None,), (0.5,)),))
    assert (found.tasks[0].merged.difference, found.tasks[0].local.difference) == (None, None)


def test_scores_per_sample_give_the_difference_its_interval():
    worse, better = {"merged": (0.0, 0.0, 1.0, 0.0)}, {"merged": (1.0, 1.0, 1.0, 1.0)}
    found = compared(
        (client_report("one", "vqa", (0.25,), (0.2,), scores=worse),),
        (client_report("one", "vqa", (1.0,), (0.2,), scores=better),),
    )
    low, high = found.tasks[0].interval
    assert 0 <= low < 0.75 < high <= 1


def test_samples_of_another_number_are_not_paired():
    found = compared(
        (client_report("one", "vqa", (0.5,), (0.2,), scores={"merged": (0.0, 1.0)}),),
        (client_report("one", "vqa", (1.0,), (0.2,), scores={"merged": (1.0,)}),),
    )
    assert found.tasks[0].interval is None


def test_the_document_is_plain_json_and_says_what_may_not_be_compared():
    one, two = client_report("one", "vqa", (0.5,), (0.5,)), client_report("two", "vqa", (0.5,), (0.5,))
    found = json.loads(json.dumps(comparison.as_document(compared((one,), (one, two), training={"seed": 3}))))
    assert [run["run"] for run in found["runs"]] == ["a", "b"]
    assert found["spec"] == [{"path": "training.seed", "first": 0, "second": 3}]
    assert found["not_comparable"] == [{"code": "only_in_one", "client": "two", "why": "only in b"}]
    assert found["tasks"][0]["merged"] == {"first": 0.5, "second": 0.5, "difference": 0.0, "clients": 1}


# -- intervals


def test_the_interval_of_a_constant_gain_is_that_gain():
    assert paired_interval([0.0, 0.5, 1.0], [0.25, 0.75, 1.25]) == (0.25, 0.25)


def test_the_interval_agrees_with_the_aggregators():
    from pilot_aggregator.rounds.report import paired_interval as of_the_aggregator

    first, second = [0.1 * (i % 7) for i in range(200)], [0.1 * (i % 5) for i in range(200)]
    assert paired_interval(first, second) == pytest.approx(of_the_aggregator(first, second), abs=0.01)


def test_nothing_has_no_interval():
    with pytest.raises(ValueError, match="no samples"):
        paired_interval([], [])


# -- transfer


def test_transfer_is_the_gain_over_the_local_run_point_by_point():
    alone = tuple(client_report(f"vqa-{n}", "vqa", (0.1, 0.5), (0.1, 0.5)) for n in (1, 2))
    together = (
        client_report("vqa-1", "vqa", (0.1, 0.6), (0.1, 0.4)),
        client_report("vqa-2", "vqa", (0.1, 0.8), (0.1, 0.6)),
    )
    (found,) = transfers([history("p", clients=together), history("l", "local", clients=alone)])
    (task,) = found.tasks
    assert (found.run, found.baseline, found.cautions) == ("p", "l", ())
    assert [c.merged for c in task.clients] == [pytest.approx(0.1), pytest.approx(0.3)]
    assert (task.merged.mean, task.merged.deviation) == (pytest.approx(0.2), pytest.approx(0.02**0.5))
    assert (task.local.mean, task.local.lowest, task.local.highest) == (
        pytest.approx(0),
        pytest.approx(-0.1),
        pytest.approx(0.1),
    )


def test_without_a_local_run_there_is_no_transfer():
    assert transfers([history("p"), history("f", "fedavg")]) == ()


def test_a_run_is_set_against_the_local_run_of_its_seed_and_told_when_there_is_none():
    local = [history("l0", "local", seed=0), history("l1", "local", seed=1)]
    found = transfers([*local, history("p1", seed=1), history("p2", seed=2)])
    assert [(t.run, t.baseline) for t in found] == [("p1", "l1"), ("p2", "l0")]
    assert found[0].cautions == ()
    assert "seed 2 against seed 0" in found[1].cautions[0]


def test_one_client_has_a_mean_and_no_spread():
    assert spread([0.5, None]).deviation is None
    assert spread([None]) is None
