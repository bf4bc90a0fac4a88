"""What each client must do in a round, and what it may upload and read."""

import pytest
from pilot_aggregator.rounds.assign import History, grant_for, plan_round, seed_of
from pilot_proto.assignment import ModelRef
from pilot_proto.canonical import canonical_bytes, document_digest
from pilot_proto.names import ADAPTER_FILE
from unit.aggregator.world import MODEL, accepted, adapter, base_slots, history, plan_of

RUN = plan_of(evaluation={"samples": 20})
TASK_SLOTS = {
    **base_slots(),
    "connector/task/vqa": adapter("t/task-vqa-connector"),
    "connector/task/caption": adapter("t/task-caption-connector"),
    "text/client/vqa-1": adapter("t/client-vqa-1-text"),
}
STAGED = {name: (accepted(1, "stage-1"),) for name in ("vqa_1", "vqa_2", "cap_1")}


def of(client, assignments):
    return next(a for a in assignments if a.client == client)


@pytest.mark.parametrize(
    ("number", "program"), [(0, "prepare"), (1, "stage-1"), (2, "stage-2"), (3, "stage-2"), (4, "evaluate")]
)
def test_the_program_of_every_round(number, program):
    assert RUN.program(number) == program


@pytest.mark.parametrize(("samples", "last"), [(20, 4), (0, 3)])
def test_evaluation_is_a_round_of_its_own_only_where_it_is_wanted(samples, last):
    assert plan_of(evaluation={"samples": samples}).last_round == last


def test_round_0_is_prepared_once_for_everybody():
    (only,) = plan_round(RUN, History(ModelRef(name="tiny")), 0)
    assert (only.client, only.task, only.program) == ("base", "", "prepare")
    assert only.model == ModelRef(name="tiny")
    assert only.private_state is None
    assert only.evaluation is None
    assert only.tasks == ("caption", "vqa")


def test_every_client_is_assigned_in_sorted_order():
    assert [a.client for a in plan_round(RUN, history(), 1)] == ["cap-1", "vqa-1", "vqa-2"]


def test_the_first_round_starts_from_the_base():
    for assignment in plan_round(RUN, history(), 1):
        assert assignment.inputs.text == base_slots()["text/base"]
        assert assignment.inputs.connector == base_slots()["connector/base"]
        assert assignment.inputs.task_connectors == {}
        assert assignment.private_state is None


def test_stage_2_receives_the_own_adapters_and_those_of_every_task():
    vqa_1 = of("vqa-1", plan_round(RUN, history(TASK_SLOTS, **STAGED), 2))
    assert vqa_1.program == "stage-2"
    assert vqa_1.inputs.text == TASK_SLOTS["text/client/vqa-1"]
    assert vqa_1.inputs.connector == TASK_SLOTS["connector/task/vqa"]
    assert vqa_1.inputs.task_connectors == {
        "caption": TASK_SLOTS["connector/task/caption"],
        "vqa": TASK_SLOTS["connector/task/vqa"],
    }
    assert vqa_1.private_state == accepted(1, "stage-1")


def test_who_has_no_text_adapter_of_its_own_starts_from_the_base():
    vqa_2 = of("vqa-2", plan_round(RUN, history(TASK_SLOTS, **STAGED), 2))
    assert vqa_2.inputs.text == base_slots()["text/base"]


def test_a_client_without_an_accepted_stage_1_does_that_first():
    late = of("vqa-2", plan_round(RUN, history(TASK_SLOTS, vqa_1=(accepted(1, "stage-1"),)), 2))
    assert late.program == "stage-1"
    assert late.inputs.task_connectors == {}
    assert late.private_state is None


def test_a_client_that_missed_a_round_continues_from_its_last_accepted_update():
    states = (accepted(1, "stage-1"), accepted(2, "stage-2"))
    vqa_1 = of("vqa-1", plan_round(RUN, history(TASK_SLOTS, vqa_1=states), 4))
    assert vqa_1.private_state == accepted(2, "stage-2")


def test_plain_rounds_of_earlier_runs_are_no_stage():
    late = of("vqa-1", plan_round(RUN, history(TASK_SLOTS, vqa_1=(accepted(1, "plain"),)), 2))
    assert late.program == "stage-1"


def test_evaluation_receives_the_task_adapters_only_where_a_stage_2_was():
    def connectors(run, *programs):
        states = tuple(accepted(number, program) for number, program in enumerate(programs, 1))
        return of("vqa-1", plan_round(run, history(TASK_SLOTS, vqa_1=states), run.last_round)).inputs.task_connectors

    assert set(connectors(RUN, "stage-1", "stage-2")) == {"caption", "vqa"}
    assert connectors(RUN, "stage-1") == {}
    assert connectors(plan_of(method="fedavg", evaluation={"samples": 20}), "plain") == {}


def test_a_state_that_mixes_tasks_is_measured_with_them_whatever_this_runs_rounds_are():
    run = plan_of(method="fedavg", start_from={"run": "s", "round": 2})
    first = of("vqa-1", plan_round(run, history(TASK_SLOTS, vqa_1=(accepted(2, "stage-2"),)), 1))
    assert first.program == "plain"
    assert set(first.inputs.task_connectors) == {"caption", "vqa"}


def test_who_trained_plainly_last_has_no_stage_1_to_build_on():
    states = (accepted(1, "stage-1"), accepted(2, "plain"))
    assert of("vqa-1", plan_round(RUN, history(TASK_SLOTS, vqa_1=states), 2)).program == "stage-1"


@pytest.mark.parametrize(
    ("number", "points"),
    [
        (1, [("merged", 0), ("local", 1)]),
        (3, [("merged", 2), ("local", 3)]),
        (4, [("merged", 3)]),
    ],
)
def test_the_points_of_evaluation(number, points):
    plan = plan_round(RUN, history(TASK_SLOTS, **STAGED), number)[0].evaluation
    assert [(p.point, p.round) for p in plan.points] == points
    assert (plan.split, plan.samples) == ("test", 20)


def test_every_merge_and_every_local_model_is_measured_once():
    rounds = range(1, RUN.last_round + 1)
    plans = [plan_round(RUN, history(TASK_SLOTS, **STAGED), number)[0].evaluation for number in rounds]
    points = [(p.point, p.round) for plan in plans for p in plan.points]
    assert sorted(points) == [("local", 1), ("local", 2), ("local", 3)] + [("merged", r) for r in range(4)]


def test_without_samples_nothing_is_evaluated():
    assert plan_round(plan_of(evaluation={"samples": 0}), history(), 1)[0].evaluation is None


def test_seeds_differ_by_client_round_and_run_seed_and_stay_the_same():
    seeds = {seed_of(s, n, c) for s in (0, 1) for n in (1, 2) for c in ("a", "b")}
    assert len(seeds) == 8
    assert seed_of(0, 1, "a") == seed_of(0, 1, "a")
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_assignments_are_the_same_bytes_every_time_and_name_no_uid():
    first, again = (
        [canonical_bytes(a) for a in plan_round(run, history(TASK_SLOTS, **STAGED), 2)]
        for run in (RUN, plan_of(evaluation={"samples": 20}))
    )
    assert first == again
    for raw in first:
        assert RUN.uid.encode() not in raw


def test_an_assignment_of_another_run_uid_has_the_same_digest():
    from dataclasses import replace

    other = replace(RUN, uid="f" * 32)
    digests = [[document_digest(a) for a in plan_round(run, history(), 1)] for run in (RUN, other)]
    assert digests[0] == digests[1]


def test_a_grant_lets_a_client_read_its_inputs_and_the_schema_and_nothing_else():
    past = history(TASK_SLOTS, **STAGED)
    vqa_1 = of("vqa-1", plan_round(RUN, past, 2))
    grant = grant_for(RUN, past, vqa_1)
    expected = {
        TASK_SLOTS[slot].commit
        for slot in (
            "text/client/vqa-1",
            "connector/task/vqa",
            "connector/task/caption",
            "text/base",
            "connector/base",
        )
    }
    assert set(grant.readable) == expected
    assert list(grant.readable) == sorted(grant.readable)
    assert grant.assignment == document_digest(vqa_1)
    assert grant.model_digest == MODEL.digest


def test_a_grant_fixes_what_must_be_uploaded_and_how_large_it_may_be():
    past = history()
    grant = grant_for(RUN, past, plan_round(RUN, past, 1)[0])
    assert grant.kinds == ("connector", "text")
    assert grant.schemas == {"connector": base_slots()["connector/base"], "text": base_slots()["text/base"]}
    known = base_slots()["text/base"].files[ADAPTER_FILE["text"]].size
    assert grant.max_bytes["text"] == 2 * known
    assert grant.max_bytes["update"] < 1 << 30


def test_round_0_has_no_schema_yet():
    past = History(ModelRef(name="tiny"))
    grant = grant_for(RUN, past, plan_round(RUN, past, 0)[0])
    assert grant.schemas == {}
    assert grant.readable == ()
    assert grant.kinds == ("connector", "text")
    assert grant.model_digest is None


def test_an_evaluation_uploads_no_adapters():
    past = history(TASK_SLOTS, vqa_1=(accepted(3, "stage-2"),))
    vqa_1 = of("vqa-1", plan_round(RUN, past, 4))
    grant = grant_for(RUN, past, vqa_1)
    assert grant.kinds == ()
    assert set(grant.max_bytes) == {"update"}
    assert set(grant.readable) == {
        TASK_SLOTS[slot].commit for slot in ("text/client/vqa-1", "connector/task/vqa", "connector/task/caption")
    }
