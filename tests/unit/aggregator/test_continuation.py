"""A run that starts from another: what is new in it, and what cannot be."""

import pytest
from pilot_aggregator.rounds.advice import advice
from pilot_aggregator.rounds.continuation import Source, check_source, continuation
from pilot_aggregator.store.records import RoundRecord
from pilot_proto.presets import expand
from pilot_proto.problem import InvalidDocument
from unit.aggregator.world import (
    CLIENTS,
    MODEL,
    NOW,
    UID,
    accepted,
    adapter,
    base_slots,
    document,
    members,
    run_record,
    spec_of,
)

GROWN = {**CLIENTS, "count-1": "counting"}


def source(**spec):
    """A run at its second round, in which cap-1 has got to stage 2 and vqa-2 never answered."""
    return Source(run_record(spec=spec_of(**spec), model=MODEL), _round())


def _round():
    slots = {**base_slots(), "connector/task/vqa": adapter("t/task-vqa-connector")}
    nothing = dict.fromkeys(
        ("quorum_at", "sealed", "measured", "updates", "plan", "ledger", "merged", "publication", "ended_at")
    )
    states = {"cap-1": (accepted(1, "stage-1"), accepted(2, "stage-2")), "vqa-1": (accepted(1, "stage-1"),)}
    return RoundRecord(uid=UID, number=2, program="stage-2", started_at=NOW, slots=slots, accepted=states, **nothing)


def heir(**spec):
    return expand(document("u", start_from={"run": "t", "round": 2}, **{"rounds": ["stage-2"], **spec}))


def faults(members_now=CLIENTS, **spec):
    with pytest.raises(InvalidDocument) as caught:
        check_source(heir(**spec).spec, members(members_now), source())
    return [(fault.pointer, fault.message, fault.hint) for fault in caught.value.errors]


def test_who_and_what_is_new_or_gone_is_named():
    found = continuation(heir(), members({"cap-1": "caption", "count-1": "counting"}), source())
    assert (found.new_clients, found.new_tasks) == (("count-1",), ("counting",))
    assert (found.left_clients, found.left_tasks) == (("vqa-1", "vqa-2"), ("vqa",))


def test_everybody_starts_from_what_stands_for_it_and_from_its_own_state():
    starts = {start.client: start for start in continuation(heir(), members(GROWN), source()).clients}
    assert starts["cap-1"].private_state == "stage-2 of round 2"
    assert (starts["vqa-1"].program, starts["vqa-1"].connector) == ("stage-2", "t/task-vqa-connector")
    assert (starts["vqa-2"].program, starts["vqa-2"].private_state) == ("stage-1", "")
    assert (starts["count-1"].connector, starts["count-1"].text) == ("t/base-connector", "t/base-text")


@pytest.mark.parametrize(("name", "value"), [("r", 8), ("lora_alpha", 8), ("target_modules", "attention")])
def test_another_lora_is_refused_with_both_values(name, value):
    ((pointer, message, hint),) = faults(training={"lora": {name: value}})
    before = getattr(source().run.spec.training.lora, name)
    assert pointer == f"/spec/training/lora/{name}"
    assert f"{name} {value} is not that of run 't', {before}" in message
    assert hint.startswith(f"write '{name}: {before}'")


def test_another_dropout_or_rate_is_no_fault():
    training = {"lora": {"lora_dropout": 0.0}, "learning_rate": {"stage-2": {"connector": 1e-3, "text": 1e-3}}}
    check_source(heir(training=training).spec, members(), source())


def test_a_client_with_a_state_of_another_task_is_refused_where_it_is_named():
    turned = {**CLIENTS, "vqa-1": "caption"}
    ((pointer, message, _),) = faults(turned, clients=["cap-1", "vqa-1"])
    assert pointer == "/spec/clients/1"
    assert "has task 'caption', but had 'vqa'" in message
    check_source(heir().spec, members({**CLIENTS, "vqa-2": "caption"}), source())


def test_what_a_start_brings_with_it_is_said():
    lines = advice(heir().spec, members(GROWN), source())
    assert "without a stage 1 behind them, these do it in round 1: count-1, vqa-2" in lines
    again = [line for line in advice(heir(rounds=["stage-1"]).spec, members(), source()) if "left behind" in line]
    assert again[0].endswith("of cap-1")
