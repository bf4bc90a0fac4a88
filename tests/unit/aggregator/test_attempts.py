"""Attempts and the jobs behind them: intended first, created from the intent, followed until they end."""

import re

import pytest
from pilot_aggregator.jobs.backend import JobState
from pilot_aggregator.rounds.attempts import Attempts, job_name
from unit.aggregator.world import NOW, UID, FakeBackend, FrozenClock, history, later, open_round, run_record, store_in


@pytest.fixture
def store(tmp_path):
    made = store_in(tmp_path)
    made.create_run(run_record(), None, None)
    open_round(made, run_record(), 1, history())
    return made


@pytest.fixture
def backend():
    return FakeBackend()


@pytest.fixture
def clock():
    return FrozenClock()


@pytest.fixture
def attempts(store, backend, clock):
    return Attempts(store, backend, clock, {"PILOT_AGGREGATOR_URL": "http://here"}, "/models/{}".format)


@pytest.fixture
def launched(attempts, store):
    attempts.launch(run_record(), 1, "vqa-1", 1)
    return the_one(store)


def the_one(store):
    (found,) = store.attempts(UID, 1)
    return found


def follow(attempts, store):
    attempts.follow(store.attempts(UID, 1))
    return the_one(store)


def events(store):
    return [e.type for e in store.events_after(UID, 0)]


def test_a_launch_stores_the_intent_and_creates_the_job_that_it_stored(launched, backend):
    assert (launched.state, launched.created) == ("Intended", True)
    assert backend.jobs == {launched.job: launched.rendered}


def test_a_job_is_told_where_everything_is(launched):
    assert launched.rendered["environment"] == {
        "PILOT_AGGREGATOR_URL": "http://here",
        "PILOT_RUN": "t",
        "PILOT_ROUND": "1",
        "PILOT_CLIENT": "vqa-1",
        "PILOT_MODEL_DIR": "/models/tiny",
        "PILOT_DATA_DIR": "/data/vqa-1",
    }
    assert launched.rendered["labels"] == {"run": "t", "round": "1", "client": "vqa-1", "attempt": "1"}


def test_an_intent_without_a_job_is_carried_out_by_the_next_look(attempts, store, backend):
    """Killed between the two; the next aggregator creates what was stored, whatever it would render itself."""
    store.intend(UID, 1, "vqa-1", 1, "job-1", {"rendered": "by a predecessor"}, NOW)
    assert follow(attempts, store).created
    assert backend.jobs == {"job-1": {"rendered": "by a predecessor"}}


def test_a_backend_that_has_no_room_is_asked_again(attempts, store, backend):
    backend.refuses = True
    attempts.launch(run_record(), 1, "vqa-1", 1)
    assert (the_one(store).state, the_one(store).created) == ("Intended", False)
    backend.refuses = False
    assert follow(attempts, store).created


def test_a_name_that_something_else_has_ends_the_attempt(attempts, store, backend):
    backend.jobs[job_name(UID, 1, "vqa-1", 1)] = {"another": "job"}
    attempts.launch(run_record(), 1, "vqa-1", 1)
    ended = the_one(store)
    assert (ended.state, ended.exit_code) == ("Failed", 78)
    assert "a different job" in ended.message


def test_a_job_that_vanished_is_lost(attempts, store, backend, launched):
    backend.states.clear()
    assert follow(attempts, store).state == "Lost"
    assert events(store)[-1] == "AttemptLost"


FOLLOWED = {
    "queued": (JobState("Queued"), ("Queued", None, "")),
    "running": (JobState("Running", started_at=later(3)), ("Running", None, "")),
    "succeeded": (JobState("Succeeded", 0, "", later(3), later(9)), ("Succeeded", 0, "")),
    "failed": (JobState("Failed", 65, "no images", later(3), later(9)), ("Failed", 65, "no images")),
    "disrupted": (JobState("Disrupted", None, "evicted"), ("Disrupted", None, "evicted")),
    "lost": (JobState("Lost", None, "killed"), ("Lost", None, "killed")),
}


@pytest.mark.parametrize(("seen", "written"), FOLLOWED.values(), ids=FOLLOWED)
def test_what_becomes_of_a_job_is_written_down(attempts, store, backend, launched, seen, written):
    backend.states[launched.job] = seen
    found = follow(attempts, store)
    assert (found.state, found.exit_code, found.message) == written
    assert found.started_at == seen.started_at


def test_looking_again_writes_nothing(attempts, store, launched):
    follow(attempts, store)
    before = events(store)
    assert before[-1] == "AttemptStarted"
    follow(attempts, store)
    assert events(store) == before


def test_an_attempt_that_has_ended_is_not_looked_at_again(attempts, store, backend, launched):
    backend.end(launched.job, 65, "no images")
    ended = follow(attempts, store)
    backend.end(launched.job, 0)
    assert follow(attempts, store) == ended


def test_the_end_has_its_moment(attempts, store, backend, clock, launched):
    clock.advance(60)
    backend.end(launched.job)
    assert follow(attempts, store).ended_at == later(60)


def test_stopping_ends_what_is_at_work_and_leaves_the_rest(attempts, store, backend, launched):
    attempts.stop(store.attempts(UID, 1), "Stopped", "the round was sealed")
    assert (the_one(store).state, the_one(store).message) == ("Stopped", "the round was sealed")
    attempts.stop(store.attempts(UID, 1), "Lost", "again")
    assert the_one(store).state == "Stopped"
    assert backend.deleted == [launched.job]


LONGEST = "a" * 40


@pytest.mark.parametrize("client", ["vqa-1", "base", LONGEST, "abcdefghijklmnopqrs-tuvw", "x"])
@pytest.mark.parametrize("number", [0, 999])
def test_a_job_has_the_name_of_a_dns_label_of_at_most_52_characters(client, number):
    name = job_name(UID, number, client, 99)
    assert len(name) <= 52
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name)
    assert "--" not in name


def test_every_attempt_has_a_name_of_its_own_for_ever():
    parts = [
        (uid, number, client, attempt)
        for uid in (UID, UID[:8] + "f" * 24)
        for number in (0, 1)
        for client in (LONGEST[:-1] + "x", LONGEST[:-1] + "y")
        for attempt in (1, 2)
    ]
    assert len({job_name(*each) for each in parts}) == len(parts)
    assert job_name(*parts[0]) == job_name(*parts[0])
