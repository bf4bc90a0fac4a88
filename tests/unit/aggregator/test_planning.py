"""From a sealed round to its plan and its ledger."""

from math import fsum

import pytest
from pilot_aggregator.rounds.gate import Measurement
from pilot_aggregator.rounds.planning import Answer, answers, ledger, merge_plan, rule_of
from pilot_proto.canonical import canonical_bytes
from pilot_proto.grant import SealedRound
from pilot_proto.names import ADAPTER_FILE, update_path
from unit.aggregator.world import (
    CLIENTS,
    adapter,
    base_slots,
    plan_of,
    prepared_round,
    said_of,
    sealed_of,
    update_of,
)

FEDAVG = plan_of(method="fedavg")
PILOT = plan_of()
BEFORE = {
    **base_slots(),
    "text/client/vqa-2": adapter("t/client-vqa-2-text"),
    "connector/task/caption": adapter("t/task-caption-connector"),
}


def counted(clients, **num_examples):
    return answers(CLIENTS, sealed_of(clients, **num_examples), {}, {}, {})


def measured_of(clients):
    names = tuple(sorted(clients))
    matrix = tuple(tuple(float(abs(i - j)) for j in range(len(names))) for i in range(len(names)))
    one = Measurement("euclidean", names, matrix, tuple(float(i + 1) for i in range(len(names))))
    return {"connector": one, "text": one}


def plan_for(run, answered, before=BEFORE, number=1):
    present = [a.client for a in answered if a.update]
    return merge_plan(run, number, answered, measured_of(present), before)


def of_kind(plan, kind):
    return next(k for k in plan.kinds if k.kind == kind)


def output(plan, kind, repo):
    return next(o for o in of_kind(plan, kind).outputs if o.repo == repo)


# -- answers


def test_everybody_who_was_asked_has_an_entry_in_sorted_order():
    found = answers(CLIENTS, sealed_of({"vqa-1": "vqa"}), {"vqa-2": "bad_data"}, {}, {})
    assert [(a.client, a.counted, a.reason) for a in found] == [
        ("cap-1", False, "Late"),
        ("vqa-1", True, ""),
        ("vqa-2", False, "bad_data"),
    ]


def test_a_client_that_failed_once_and_then_answered_counts():
    found = answers(CLIENTS, sealed_of(CLIENTS), {"vqa-1": "temporary"}, {}, {})
    assert all(a.counted for a in found)


def test_a_refused_update_is_kept_but_does_not_count():
    found = answers(CLIENTS, sealed_of(CLIENTS), {}, {"vqa-1": ("norm_outlier",)}, {"vqa-1": "Flagged"})
    (refused,) = [a for a in found if not a.counted]
    assert (refused.client, refused.reason, refused.flags) == ("vqa-1", "Flagged", ("norm_outlier",))
    assert refused.update is not None


def test_marks_of_the_registry_and_of_the_gate_are_joined():
    copied = SealedRound(run="t", round=1, updates=(update_of("vqa-1", "vqa", flags=("duplicate_content",)),))
    (found,) = answers({"vqa-1": "vqa"}, copied, {}, {"vqa-1": ("suspicious",)}, {})
    assert found.flags == ("duplicate_content", "suspicious")


def test_a_reason_without_an_update_never_counts():
    assert not Answer("a", "vqa", None).counted
    assert not Answer("a", "vqa", update_of("a", "vqa"), "Refused").counted


# -- plans


def test_round_0_copies_what_was_prepared():
    plan = merge_plan(PILOT, 0, answers({"base": ""}, prepared_round(), {}, {}, {}), {}, {})
    assert plan.program == "prepare"
    for kind in ("connector", "text"):
        (only,) = of_kind(plan, kind).outputs
        assert (only.repo, only.coefficients, only.carried) == (f"t/base-{kind}", (1.0,), None)


def test_an_evaluation_merges_nothing():
    assert merge_plan(PILOT, 4, counted(CLIENTS), {}, BEFORE).kinds == ()


def test_fedavg_weighs_by_examples():
    plan = plan_for(FEDAVG, counted(CLIENTS, vqa_1=30, vqa_2=10, cap_1=10))
    (only,) = of_kind(plan, "text").outputs
    assert only.repo == "t/global-text"
    assert only.coefficients == pytest.approx((0.2, 0.6, 0.2))
    assert [i.client for i in of_kind(plan, "text").inputs] == ["cap-1", "vqa-1", "vqa-2"]


def test_declared_examples_are_capped():
    run = plan_of(method="fedavg", merge={"max_examples": 10})
    plan = plan_for(run, counted(CLIENTS, vqa_1=10**9))
    assert of_kind(plan, "text").outputs[0].coefficients == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_inputs_name_the_file_of_their_kind():
    plan = plan_for(FEDAVG, counted(CLIENTS))
    for kind in ("connector", "text"):
        path = update_path(kind, ADAPTER_FILE[kind])
        digests = [i.digest for i in of_kind(plan, kind).inputs]
        assert digests == [update_of(c, t).files[path].digest for c, t in sorted(CLIENTS.items())]


def test_each_kind_has_its_own_rule():
    assert rule_of(PILOT, "connector").rule == "per-task-mean"
    assert rule_of(PILOT, "text").rule == "nearest"
    plan = plan_for(PILOT, counted(CLIENTS))
    assert of_kind(plan, "connector").distances is None
    assert of_kind(plan, "text").distances.matrix == measured_of(CLIENTS)["text"].matrix


@pytest.mark.parametrize("run", [FEDAVG, PILOT], ids=["fedavg", "pilot"])
def test_refused_and_absent_clients_have_no_part(run):
    answered = answers(CLIENTS, sealed_of({"vqa-1": "vqa", "cap-1": "caption"}), {}, {}, {"cap-1": "Flagged"})
    plan = plan_for(run, answered)
    for kind in plan.kinds:
        assert [i.client for i in kind.inputs] == ["vqa-1"]
        if kind.distances:
            assert kind.distances.matrix == ((0.0,),)


def test_an_absent_client_carries_its_own_previous_adapter_or_the_base():
    plan = plan_for(PILOT, counted({"vqa-1": "vqa"}))
    assert output(plan, "text", "t/client-vqa-1-text").carried is None
    assert output(plan, "text", "t/client-vqa-2-text").carried == BEFORE["text/client/vqa-2"]
    assert output(plan, "text", "t/client-cap-1-text").carried == BEFORE["text/base"]


def test_a_task_without_an_answer_carries_its_previous_adapter_or_the_base():
    plan = plan_for(PILOT, counted({"vqa-1": "vqa"}))
    assert output(plan, "connector", "t/task-vqa-connector").carried is None
    assert output(plan, "connector", "t/task-caption-connector").carried == BEFORE["connector/task/caption"]
    without = {slot: found for slot, found in BEFORE.items() if slot != "connector/task/caption"}
    plan = plan_for(PILOT, counted({"vqa-1": "vqa"}), without)
    assert output(plan, "connector", "t/task-caption-connector").carried == BEFORE["connector/base"]


def test_a_global_rule_carries_nothing():
    plan = plan_for(FEDAVG, counted({"vqa-1": "vqa"}))
    assert [o.repo for o in of_kind(plan, "text").outputs] == ["t/global-text"]
    assert of_kind(plan, "text").outputs[0].carried is None


@pytest.mark.parametrize("method", ["pilot", "fedavg", "local"])
def test_every_round_publishes_the_same_repositories(method):
    run = plan_of(method=method)
    plans = [plan_for(run, counted(part)) for part in (CLIENTS, {"vqa-1": "vqa"}, {"cap-1": "caption"})]
    repos = [[o.repo for kind in plan.kinds for o in kind.outputs] for plan in plans]
    assert repos[0] == repos[1] == repos[2]
    assert all([o.repo for o in kind.outputs] == sorted(o.repo for o in kind.outputs) for kind in plans[0].kinds)


def test_a_plan_is_the_same_bytes_whatever_the_order_of_arrival():
    sealed = sealed_of(CLIENTS)
    turned = sealed.model_copy(update={"updates": tuple(reversed(sealed.updates))})
    plans = [plan_for(PILOT, answers(CLIENTS, each, {}, {}, {})) for each in (sealed, turned)]
    assert canonical_bytes(plans[0]) == canonical_bytes(plans[1])


def test_a_plan_without_anybody_is_refused():
    with pytest.raises(ValueError, match=r"empty|no "):
        plan_for(FEDAVG, counted({}))


def test_an_update_of_no_examples_cannot_be_weighed():
    with pytest.raises(ValueError, match="vqa-1 declares 0 samples"):
        plan_for(FEDAVG, counted(CLIENTS, vqa_1=0))


# -- ledgers


@pytest.mark.parametrize("method", ["pilot", "fedavg", "local"])
@pytest.mark.parametrize("part", [CLIENTS, {"vqa-1": "vqa", "cap-1": "caption"}, {"vqa-2": "vqa"}])
def test_the_shares_of_a_kind_sum_to_one(method, part):
    run = plan_of(method=method)
    answered = counted(part)
    found = ledger(run, 1, answered, plan_for(run, answered), measured_of(part), {})
    for kind in ("connector", "text"):
        shares = [entry.shares[kind] for entry in found.entries if entry.counted]
        assert fsum(shares) == pytest.approx(1.0)


def test_a_share_is_naively_the_column_sum_over_all_coefficients():
    answered = counted(CLIENTS, vqa_1=30)
    plan = plan_for(PILOT, answered)
    found = ledger(PILOT, 1, answered, plan, measured_of(CLIENTS), {})
    rows = [o.coefficients for o in of_kind(plan, "text").outputs]
    for column, entry in enumerate(found.entries):
        naive = sum(row[column] for row in rows) / sum(sum(row) for row in rows)
        assert entry.shares["text"] == pytest.approx(naive)


def test_the_ledger_says_of_each_client_whether_it_counted_and_why_not():
    answered = answers(
        CLIENTS, sealed_of({"vqa-1": "vqa", "vqa-2": "vqa"}), {"cap-1": "bad_data"}, {}, {"vqa-2": "Refused"}
    )
    found = ledger(PILOT, 1, answered, plan_for(PILOT, answered), measured_of(["vqa-1", "vqa-2"]), {})
    assert [(e.client, e.asked, e.answered, e.counted, e.reason) for e in found.entries] == [
        ("cap-1", True, False, False, "bad_data"),
        ("vqa-1", True, True, True, ""),
        ("vqa-2", True, True, False, "Refused"),
    ]
    absent, counts, refused = found.entries
    assert absent.commit is None
    assert absent.change_norm == {}
    assert counts.change_norm == {"connector": 1.0, "text": 1.0}
    assert refused.change_norm == {"connector": 2.0, "text": 2.0}
    assert refused.shares == {}
    assert refused.commit == update_of("vqa-2", "vqa").commit


def test_the_ledger_says_what_an_update_began_without_a_predecessor():
    answered = answers(CLIENTS, sealed_of(CLIENTS), {}, {}, {})
    said = {"vqa-1": said_of("vqa-1", "vqa", program="stage-2", started=("cross.ocr", "router.ocr"))}
    found = ledger(PILOT, 1, answered, plan_for(PILOT, answered), measured_of(CLIENTS), said)
    assert {e.client: e.started for e in found.entries if e.started} == {"vqa-1": ("cross.ocr", "router.ocr")}


def test_the_ledger_of_round_0_measures_no_change():
    answered = answers({"base": ""}, prepared_round(), {}, {}, {})
    found = ledger(PILOT, 0, answered, merge_plan(PILOT, 0, answered, {}, {}), {}, {})
    (entry,) = found.entries
    assert entry.client == "base"
    assert entry.counted
    assert entry.change_norm == {}
