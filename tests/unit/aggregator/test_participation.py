"""How many must answer."""

import pytest
from pilot_aggregator.rounds.participation import missing, required, warnings
from pilot_proto.run import Participation

TASKS = {"a": "vqa", "b": "vqa", "c": "vqa", "x": "caption", "y": "caption"}


def policy(quorum, per_task=1):
    return Participation(quorum=quorum, quorum_per_task=per_task)


@pytest.mark.parametrize(
    ("quorum", "asked", "needed"),
    [
        ("80%", 5, 4),
        ("80%", 9, 8),
        ("50%", 5, 3),
        ("1%", 5, 1),
        ("100%", 5, 5),
        ("100%", 1, 1),
        ("34%", 3, 2),
        ("33%", 3, 1),
        (1, 5, 1),
        (5, 5, 5),
        (6, 5, 5),
    ],
)
def test_a_percentage_is_rounded_up_and_a_count_is_at_most_all(quorum, asked, needed):
    assert required(policy(quorum), asked) == needed


@pytest.mark.parametrize(
    ("quorum", "per_task", "answered", "gap"),
    [
        ("80%", 1, "abcx", None),
        ("80%", 1, "abc", "task 'caption' needs 1 of its 2 clients and has 0"),
        ("80%", 1, "abx", "4 of 5 clients are needed (quorum 80%) and 3 answered"),
        ("20%", 2, "abxy", None),
        ("20%", 2, "abcx", "task 'caption' needs 2 of its 2 clients and has 1"),
        ("20%", 3, "abxy", "task 'vqa' needs 3 of its 3 clients and has 2"),
        ("20%", 3, "abcxy", None),
        (2, 0, "ab", None),
        (2, 0, "a", "2 of 5 clients are needed (quorum 2) and 1 answered"),
        (1, 0, "", "1 of 5 clients are needed (quorum 1) and 0 answered"),
    ],
)
def test_what_is_missing_is_a_sentence(quorum, per_task, answered, gap):
    assert missing(policy(quorum, per_task), TASKS, answered) == gap


def test_an_answer_counts_once():
    assert missing(policy(2, 0), TASKS, ["a", "a"]) is not None


def test_a_quorum_that_one_loss_breaks_is_said_beforehand():
    assert warnings(policy("100%", 0), TASKS) == ["quorum 100% of 5 clients: the loss of a single one fails the run"]
    assert warnings(policy("90%", 0), TASKS) == ["quorum 90% of 5 clients: the loss of a single one fails the run"]
    assert warnings(policy("80%", 1), TASKS) == []


def test_a_task_whose_every_client_is_needed_is_named():
    (told,) = warnings(policy("50%", 2), TASKS)
    assert told == "quorum_per_task 2: every client of task 'caption' is needed"


def test_a_single_client_needs_no_warning():
    assert warnings(policy("100%", 1), {"a": "vqa"}) == []
