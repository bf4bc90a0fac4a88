"""From a written run to a stored one."""

import pytest
from pilot_aggregator.rounds.creation import Source, check, new_run, warnings
from pilot_aggregator.store.records import RoundRecord
from pilot_proto.presets import expand
from pilot_proto.problem import InvalidDocument
from unit.aggregator.world import (
    CLIENTS,
    MODEL,
    NOW,
    UID,
    accepted,
    base_slots,
    document,
    federation,
    later,
    members,
    published_of,
    run_record,
    sealed_of,
    spec_of,
    written,
)


def faults(**spec):
    with pytest.raises(InvalidDocument) as caught:
        check(written(**spec), federation())
    return [(e.pointer, e.message, e.hint) for e in caught.value.errors]


def test_all_clients_are_taken_in_sorted_order():
    assert [c.name for c in check(written(), federation())] == sorted(CLIENTS)


def test_chosen_clients_are_sorted_whatever_was_written():
    assert [c.name for c in check(written(clients=["vqa-2", "cap-1"]), federation())] == ["cap-1", "vqa-2"]


def test_an_unknown_model_is_refused_with_those_there_are():
    assert faults(model="tinny") == [
        ("/spec/model", "unknown model 'tinny'", "the federation offers: large, tiny"),
    ]


def test_an_unknown_client_is_refused_at_its_place_with_those_there_are():
    assert faults(clients=["vqa-1", "vqa-9"]) == [
        ("/spec/clients/1", "unknown client 'vqa-9'", "the federation has: cap-1, vqa-1, vqa-2"),
    ]


def test_a_client_can_take_part_once():
    assert [(pointer, message) for pointer, message, _ in faults(clients=["vqa-1", "vqa-1"])] == [
        ("/spec/clients/1", "client 'vqa-1' is named twice"),
    ]


def test_a_run_needs_a_client():
    assert [pointer for pointer, _, _ in faults(clients=[])] == ["/spec/clients"]


@pytest.mark.parametrize("kind", ["connector", "text"])
def test_an_unknown_rule_is_refused_with_those_there_are(kind):
    ((pointer, message, _),) = faults(method="fedavg", merge={kind: {"rule": "median"}})
    assert pointer == f"/spec/merge/{kind}/rule"
    assert "'median' is unknown" in message
    assert "per-task-mean" in message


def test_an_option_that_a_rule_does_not_read_is_refused():
    ((pointer, message, _),) = faults(merge={"text": {"rule": "mean", "neighbours": 3}})
    assert pointer == "/spec/merge/text/rule"
    assert "does not read the option 'neighbours'" in message


def test_all_faults_are_told_at_once():
    found = faults(model="x", clients=["y"], merge={"text": {"rule": "z"}})
    assert [pointer for pointer, _, _ in found] == ["/spec/model", "/spec/clients/0", "/spec/merge/text/rule"]


def told(clients=CLIENTS, **spec):
    return warnings(spec_of(**spec), members(clients))


MANY = {f"{task}-{i}": task for task in ("vqa", "cap") for i in range(4)}


def test_a_sound_run_warns_of_nothing():
    assert told(MANY, participation={"quorum": "80%"}, merge={"text": {"neighbours": 3}}) == []


def test_a_task_of_one_client_shares_that_clients_weights():
    assert any("task 'caption' has one client" in line for line in told())
    assert not any("has one client" in line for line in told(method="fedavg"))


@pytest.mark.parametrize(("neighbours", "warned"), [(6, False), (7, True), (8, True)])
def test_neighbours_that_are_everybody_are_said(neighbours, warned):
    found = told(MANY, merge={"text": {"neighbours": neighbours}})
    assert any("everybody is a neighbour of everybody" in line for line in found) is warned


def test_no_neighbours_means_no_merge():
    assert any("neighbours 0" in line for line in told(MANY, merge={"text": {"neighbours": 0}}))


def test_a_quorum_that_one_loss_breaks_is_said():
    assert any("the loss of a single one" in line for line in told(MANY, participation={"quorum": "100%"}))


@pytest.mark.parametrize(("jitter", "rounds", "warned"), [(0.0, 3, True), (1e-3, 3, False)])
def test_branches_that_can_never_separate_are_said(jitter, rounds, warned):
    adapter = {"init": "copy", "jitter": jitter}
    found = told(MANY, training={"connector": {"client_adapter": adapter}})
    assert any("never separates" in line for line in found) is warned


def test_a_plain_run_has_no_branches_to_separate():
    adapter = {"init": "copy", "jitter": 0.0}
    found = told(MANY, method="fedavg", training={"connector": {"client_adapter": adapter}})
    assert not any("never separates" in line for line in found)


def test_a_new_run_begins_before_round_0_and_may_go_to_its_end():
    run, first = new_run(written(), UID, members(), NOW, None)
    assert first is None
    assert (run.phase, run.published, run.through, run.revision) == ("Preparing", -1, 4, 0)
    assert run.model.digest is None
    assert run.created_at == NOW
    assert run.through >= run.plan.last_round


def test_a_manual_run_may_prepare_and_then_waits():
    run, _ = new_run(written(advance="manual"), UID, members(), NOW, None)
    assert run.through == 0


def test_a_run_from_another_has_that_round_behind_it():
    slots = base_slots()
    states = {"vqa-1": (accepted(1, "stage-1"),)}
    source = RoundRecord(
        uid="f" * 32,
        number=1,
        program="stage-1",
        started_at=NOW,
        quorum_at=None,
        sealed=sealed_of(CLIENTS),
        measured=None,
        updates={},
        plan=None,
        ledger=None,
        merged={},
        publication=published_of(1, slots.values()),
        slots=slots,
        accepted=states,
        ended_at=NOW,
    )
    wanted = expand(document("u", start_from={"run": "t", "round": 1}, rounds=["stage-2"]))
    run, first = new_run(wanted, UID, members(), later(5), Source(run_record(uid="f" * 32, model=MODEL), source))
    assert (run.published, run.model) == (0, MODEL)
    assert (first.uid, first.number, first.program) == (UID, 0, "prepare")
    assert (first.slots, first.accepted, first.publication) == (slots, states, source.publication)
