"""From a written run to a stored one."""

import pytest
from pilot_aggregator.rounds.continuation import Source
from pilot_aggregator.rounds.creation import check, license_of, new_run
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
    assert (first.sealed, first.updates, first.ledger, first.merged) == (None, None, None, None)


def test_all_means_all_that_are_not_disabled():
    assert [c.name for c in check(written(), federation(disabled=("vqa-1",)))] == ["cap-1", "vqa-2"]


def test_a_disabled_client_that_is_named_is_refused_with_the_way_back():
    with pytest.raises(InvalidDocument) as caught:
        check(written(clients=["cap-1", "vqa-1"]), federation(disabled=("vqa-1",)))
    ((pointer, message, hint),) = [(e.pointer, e.message, e.hint) for e in caught.value.errors]
    assert (pointer, message) == ("/spec/clients/1", "client 'vqa-1' is disabled")
    assert "pilot clients enable vqa-1" in hint


def test_a_run_of_all_where_all_are_disabled_is_refused():
    with pytest.raises(InvalidDocument, match="all are disabled"):
        check(written(), federation(disabled=tuple(CLIENTS)))


def test_a_run_knows_the_licence_that_the_federation_states_for_its_base():
    known = federation()
    models = tuple(model.model_copy(update={"license": f"{model.name}-1.0"}) for model in known.spec.models)
    stated = known.model_copy(update={"spec": known.spec.model_copy(update={"models": models})})
    assert license_of(written(), stated) == "tiny-1.0"
    assert license_of(written(), known) is None
    run, _ = new_run(written(), UID, members(), NOW, None, "tiny-1.0")
    assert run.model.license == "tiny-1.0"
