"""A round in time: where bars and marks stand, and the same in numbers."""

import pytest
from pilot_proto.run import StageTime
from pilot_registry.ui.views.time_line import THINNEST, ticks, time_line
from unit.registry.ui.fake_aggregator import after, attempt_times, timeline


def drawn(attempts=None, accepted=None, end=100, **more):
    told = timeline(clients={"vqa-1": attempts if attempts is not None else (attempt_times(),)}, **more)
    return time_line(told, {"vqa-1": after(accepted)} if accepted else {}, ["vqa-1"], after(end))


def bars(line):
    return [(bar.kind.name, bar.x, bar.width) for bar in line.lanes[0].bars]


def test_the_services_steps_follow_each_other_from_opened_to_published():
    steps = [(bar.kind.name, bar.x, bar.width) for bar in drawn().steps]
    assert steps == [
        ("collecting", 0, 60),
        ("measuring", 60, 10),
        ("deciding", 70, 2),
        ("merging", 72, 18),
        ("publishing", 90, 10),
    ]
    assert [mark.words for mark in drawn().marks] == ["quorum 55 s", "sealed 1 min"]


def test_a_round_that_waits_for_a_verdict_is_deciding_until_now():
    line = drawn(end=200, planned_at=None, merged_at=None, published_at=None)
    assert [(bar.kind.name, bar.x) for bar in line.steps] == [("collecting", 0), ("measuring", 30), ("deciding", 35)]
    assert line.steps[-1].width == 65


def test_stages_stand_before_the_report_and_what_is_left_in_front_is_the_start_of_the_process():
    assert bars(drawn()) == [("waiting", 0, 10), ("starting", 10, 2), ("fetching", 12, 10), ("training", 22, 30)]


def test_without_a_trainers_word_there_is_one_bar():
    line = drawn((attempt_times(stages=(), reported_at=None),))
    assert bars(line) == [("waiting", 0, 10), ("running", 10, 43)]


@pytest.mark.parametrize("state", ["Failed", "Lost", "Disrupted"])
def test_an_attempt_that_failed_is_drawn_apart_and_the_next_one_behind_it(state):
    lost = attempt_times(1, state, stages=(), reported_at=None, ended_at=after(20))
    again = attempt_times(2, intended_at=after(21), started_at=after(22))
    assert [bar[0] for bar in bars(drawn((lost, again)))] == ["waiting", "failed", "waiting", *["fetching", "training"]]


def test_who_still_waits_and_who_still_works_reaches_to_now():
    waits = attempt_times(state="Queued", started_at=None, ended_at=None, reported_at=None, stages=())
    assert bars(drawn((waits,), published_at=None)) == [("waiting", 0, 100)]
    works = attempt_times(state="Running", ended_at=None, reported_at=None, stages=())
    assert bars(drawn((works,), published_at=None)) == [("waiting", 0, 10), ("running", 10, 90)]


@pytest.mark.parametrize("seconds", [1e8, 1e300])
def test_whatever_a_trainer_says_stays_within_its_attempt(seconds):
    told = attempt_times(stages=(StageTime(stage="training", seconds=seconds), StageTime(stage="uploading", seconds=5)))
    for _, x, width in bars(drawn((told,))):
        assert 0 <= x <= 100
        assert width >= THINNEST
        assert x + width <= 53.3


def test_a_stage_of_a_strange_name_is_drawn_like_others_of_that_sort():
    evil = "\N{RIGHT-TO-LEFT OVERRIDE}<script>"
    line = drawn((attempt_times(stages=(StageTime(stage=evil, seconds=40),)),))
    (bar,) = [bar for bar in line.lanes[0].bars if bar.kind.look == "other"]
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in bar.kind.name
    assert line.legend[-1].name == bar.kind.name


def test_when_an_update_was_in_the_registry_is_a_mark():
    lane = drawn(accepted=52).lanes[0]
    assert (lane.accepted.x, lane.accepted.words) == (52, "accepted 52 s")
    assert lane.words.endswith("training 30 s, accepted 52 s")


def test_of_a_client_without_an_attempt_the_registry_alone_tells():
    lane = drawn((), accepted=40).lanes[0]
    assert ([bar.kind.name for bar in lane.bars], lane.took_s) == (["running"], 40)
    assert drawn(()).lanes[0].words == "nothing yet"


def test_what_is_drawn_alike_has_one_line_in_the_legend():
    names = {kind.look: kind.name for kind in drawn().legend}
    assert names["wait"] == "collecting, waiting, starting"
    assert names["train"] == "merging, training"


def test_the_table_has_every_attempt_with_its_stages():
    again = attempt_times(2, state="Failed", exit_code=65, stages=(), reported_at=None)
    table = drawn((again, attempt_times(3)), accepted=52).table
    assert table.columns == ("client", "attempt", "waited", "fetching", "training", "whole", "accepted after")
    first, second = [[cell.text for cell in row.cells] for row in table.rows]
    assert first == ["vqa-1", "2: Failed, exit 65", "10 s", "\N{EN DASH}", "\N{EN DASH}", "53 s", "\N{EN DASH}"]
    assert second == ["vqa-1", "3: Succeeded", "10 s", "10 s", "30 s", "53 s", "52 s"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (5, ["1 s", "2 s", "3 s", "4 s"]),
        (100, ["15 s", "30 s", "45 s", "1 min", "1 min 15 s", "1 min 30 s"]),
        (7200, ["30 min", "1 h", "1 h 30 min"]),
    ],
)
def test_ticks_are_round_times(seconds, words):
    assert [tick.words for tick in ticks(seconds)] == words


@pytest.mark.parametrize("seconds", [1, 59, 3600, 86400, 30 * 86400, 400 * 86400])
def test_there_are_never_so_many_ticks_that_they_touch(seconds):
    assert len(list(ticks(seconds))) <= 8


def test_a_round_of_no_time_at_all_can_be_drawn():
    nothing = dict.fromkeys(("quorum_at", "sealed_at", "measured_at", "planned_at", "merged_at", "published_at"))
    assert drawn((), end=0, **nothing).seconds == 1
