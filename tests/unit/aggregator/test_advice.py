"""What a person should know before starting a run."""

import pytest
from pilot_aggregator.rounds.advice import advice
from unit.aggregator.world import CLIENTS, members, spec_of


def told(clients=CLIENTS, **spec):
    return advice(spec_of(**spec), members(clients))


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


ALONE = {"vqa-1": "vqa"}
TWO = {"cap-1": "caption", "vqa-1": "vqa"}
THREE = {"box-1": "grounding", "cap-1": "caption", "vqa-1": "vqa"}
SAME = {"vqa-1": "vqa", "vqa-2": "vqa", "vqa-3": "vqa"}


def test_one_client_is_local_training():
    found = told(ALONE)
    assert found[0].startswith("one client: every rule gives 'vqa-1' its own adapters back")
    assert "the loss of a single one" not in "".join(found)


def test_two_clients_are_each_others_neighbours_whatever_their_distance():
    (line,) = [line for line in told(TWO) if "neighbours" in line]
    assert line.startswith("neighbours 6 of 1 other: there is nobody to choose")


def test_three_clients_are_all_neighbours_and_a_smaller_number_would_choose():
    (line,) = [line for line in told(THREE) if "neighbours" in line]
    assert "6 of 2 others: everybody is a neighbour of everybody" in line
    assert "'neighbours: 1' would choose" in line
    assert not any("neighbours" in line for line in told(THREE, merge={"text": {"neighbours": 1}}))


@pytest.mark.parametrize(
    ("clients", "neighbours", "advised"),
    [(THREE, 6, True), (THREE, 1, True), (THREE, 0, False), (TWO, 1, True), (ALONE, 6, False), (MANY, 1, False)],
)
def test_where_nobody_shares_a_task_what_was_measured_is_said(clients, neighbours, advised):
    found = told(clients, merge={"text": {"neighbours": neighbours}})
    assert any("docs/few-clients.md" in line for line in found) is advised


def test_where_every_task_has_one_client_the_mean_of_a_task_is_the_identity():
    (line,) = [line for line in told(THREE) if "per-task-mean" in line]
    assert line.startswith("every task has one client: per-task-mean is the identity")


def test_the_mean_of_the_own_task_is_nothing_where_a_client_is_alone_in_it():
    rule = {"text": {"rule": "same-task"}}
    lines = [line for line in told(THREE, merge=rule) if "same-task" in line]
    assert [line.partition(" has ")[0] for line in lines] == ["task 'caption'", "task 'grounding'", "task 'vqa'"]
    assert not any("same-task" in line for line in told(SAME, merge=rule))


def test_with_one_task_the_mean_of_a_task_is_the_mean_and_there_is_nothing_to_mix():
    found = told(SAME)
    assert "one task: per-task-mean of the connector is the mean of everybody" in found
    assert any("stage-2 has no other task's adapters" in line for line in found)


@pytest.mark.parametrize(("clients", "said"), [(TWO, True), (THREE, True), (MANY, False)])
def test_the_default_quorum_of_few_is_everybody(clients, said):
    assert any("the loss of a single one" in line for line in told(clients)) is said
