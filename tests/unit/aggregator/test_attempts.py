"""Attempts and the jobs behind them: intended first, created from the intent, followed until they end."""

import re

import pytest
from pilot_aggregator.jobs.backend import JobState
from pilot_aggregator.rounds.attempts import Attempts, job_name
from pilot_aggregator.store.records import Intent
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
    attempts.launch(run_record(), 1, {"vqa-1": 1})
    return the_one(store)


def the_one(store):
    (found,) = store.attempts(UID, 1)
    return found


def follow(attempts, store):
    attempts.follow(store.attempts(UID, 1))
    return the_one(store)


def events(store):
    return [e.type for e in store.events_after(UID, 0)]


def test_a_launch_stores_the_intent_and_creates_the_job_that_it_stored(launched, store, backend):
    assert (launched.state, launched.created) == ("Intended", True)
    assert backend.jobs == {launched.job: store.rendered(launched.job)}


def test_a_job_is_told_where_everything_is(launched, store):
    rendered = store.rendered(launched.job)
    assert rendered["environment"] == {
        "PILOT_AGGREGATOR_URL": "http://here",
        "PILOT_RUN": "t",
        "PILOT_ROUND": "1",
        "PILOT_CLIENT": "vqa-1",
        "PILOT_MODEL_DIR": "/models/tiny",
        "PILOT_DATA_DIR": "/data/vqa-1",
    }
    assert rendered["labels"] == {
        "run": "t",
        "run-uid": UID,
        "round": "1",
        "client": "vqa-1",
        "attempt": "1",
    }


def test_an_intent_without_a_job_is_carried_out_by_the_next_look(attempts, store, backend):
    """Killed between the two; the next aggregator creates what was stored, whatever it would render itself."""
    store.intend(UID, 1, [Intent("vqa-1", 1, "job-1", {"rendered": "by a predecessor"})], NOW)
    assert follow(attempts, store).created
    assert backend.jobs == {"job-1": {"rendered": "by a predecessor"}}


def test_a_backend_that_has_no_room_is_asked_again(attempts, store, backend):
    backend.refuses = True
    attempts.launch(run_record(), 1, {"vqa-1": 1})
    assert (the_one(store).state, the_one(store).created) == ("Intended", False)
    backend.refuses = False
    assert follow(attempts, store).created


def test_of_many_that_begin_at_once_each_ends_as_its_own_job_lets_it(attempts, store, backend):
    """One is refused by the backend, one cannot even be rendered, one begins."""
    backend.jobs[job_name(UID, 1, "cap-1", 1)] = {"another": "job"}
    backend.refusals["vqa-2"] = "NoTemplate: there is none"
    attempts.launch(run_record(), 1, {"cap-1": 1, "vqa-1": 3, "vqa-2": 1})
    found = {a.client: (a.state, a.created, a.attempt) for a in store.attempts(UID, 1)}
    assert found == {"cap-1": ("Failed", True, 1), "vqa-1": ("Intended", True, 3), "vqa-2": ("Failed", True, 1)}
    assert job_name(UID, 1, "vqa-1", 3) in backend.jobs
    assert backend.settled == []


def test_a_name_that_something_else_has_ends_the_attempt(attempts, store, backend):
    backend.jobs[job_name(UID, 1, "vqa-1", 1)] = {"another": "job"}
    attempts.launch(run_record(), 1, {"vqa-1": 1})
    ended = the_one(store)
    assert (ended.state, ended.exit_code) == ("Failed", 78)
    assert "a different job" in ended.message


def test_a_job_that_vanished_is_lost(attempts, store, backend, launched):
    backend.states.clear()
    assert follow(attempts, store).state == "Lost"
    assert events(store)[-1] == "AttemptLost"


FOLLOWED = {
    "queued": (JobState("Queued"), ("Queued", None, "")),
    "pending": (
        JobState("Pending", message="ErrImagePull: no such image"),
        ("Pending", None, "ErrImagePull: no such image"),
    ),
    "unknown": (JobState("Unknown", message="NoContact: silent"), ("Unknown", None, "NoContact: silent")),
    "cancelled": (JobState("Cancelled", message="Deleted: by hand"), ("Stopped", None, "Deleted: by hand")),
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


def test_whose_update_is_sealed_has_succeeded_and_its_job_ends_by_itself(attempts, store, backend, launched):
    attempts.conclude(store.attempts(UID, 1))
    assert (the_one(store).state, the_one(store).exit_code) == ("Succeeded", None)
    assert backend.settled == [launched.job]
    assert backend.deleted == []


def test_a_job_that_does_not_come_to_its_end_is_stopped_after_a_while(attempts, store, backend, clock, launched):
    attempts.conclude(store.attempts(UID, 1))
    attempts.see_off()
    assert backend.deleted == []
    clock.advance(600)
    backend.states[launched.job] = JobState("Unknown")
    attempts.see_off()
    assert backend.deleted == []
    backend.states[launched.job] = JobState("Running")
    attempts.see_off()
    attempts.see_off()
    assert backend.deleted == [launched.job]


def test_a_job_that_came_to_its_end_is_left_with_its_log(attempts, store, backend, clock, launched):
    attempts.conclude(store.attempts(UID, 1))
    clock.advance(600)
    backend.end(launched.job)
    attempts.see_off()
    assert backend.deleted == []


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


def test_a_job_that_cannot_even_be_rendered_ends_its_attempt_with_the_reason(attempts, store, backend):
    backend.refusals["vqa-1"] = "NoTemplate: there is none for 'vqa-1'"
    attempts.launch(run_record(), 1, {"vqa-1": 1})
    ended = the_one(store)
    assert (ended.state, ended.exit_code) == ("Failed", 78)
    assert ended.message == "NoTemplate: there is none for 'vqa-1'"
    assert backend.jobs == {}


def test_trying_out_asks_for_every_client_and_tells_of_those_refused(attempts, backend):
    assert attempts.try_out(run_record()) == {}
    backend.refusals["vqa-2"] = "Forbidden: exceeded quota"
    assert attempts.try_out(run_record()) == {"vqa-2": "Forbidden: exceeded quota"}
    assert backend.jobs == {}


def test_only_an_outcome_that_is_stored_lets_a_job_go(attempts, store, backend, launched):
    follow(attempts, store)
    assert backend.settled == []
    backend.end(launched.job)
    follow(attempts, store)
    assert backend.settled == [launched.job]


def test_an_attempt_that_is_stopped_keeps_what_it_was_waiting_for(attempts, store, backend, launched):
    backend.states[launched.job] = JobState("Pending", message="Unschedulable: no node")
    follow(attempts, store)
    attempts.stop(store.attempts(UID, 1), "Lost", "StartDeadline")
    assert the_one(store).message == "StartDeadline: Unschedulable: no node"


def test_waiting_that_somebody_should_look_into_is_an_event_once(attempts, store, backend, launched):
    for message in ("", "ErrImagePull: not found", "ErrImagePull: back-off"):
        backend.states[launched.job] = JobState("Pending", message=message)
        follow(attempts, store)
    assert events(store).count("AttemptPending") == 1
    backend.states[launched.job] = JobState("Running", started_at=later(3))
    assert follow(attempts, store).message == ""


def test_contact_that_is_lost_and_found_is_no_second_start(attempts, store, backend, launched):
    for phase in ("Running", "Unknown", "Running"):
        backend.states[launched.job] = JobState(phase)
        assert follow(attempts, store).state == phase
    assert events(store).count("AttemptStarted") == 1


def test_an_intent_is_carried_out_even_if_the_backend_sees_nothing(attempts, store, backend):
    store.intend(UID, 1, [Intent("vqa-1", 1, "job-1", {"rendered": "by a predecessor"})], NOW)
    backend.states["job-1"] = JobState("Unknown")
    assert follow(attempts, store).created
