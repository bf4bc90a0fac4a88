"""When a round's steps were done, and what trainers told of their time."""

import databases
import pytest
from databases import every_database  # noqa: F401
from pilot_aggregator.rounds.timeline import round_timeline
from pilot_aggregator.store.records import Intent, Timings
from pilot_aggregator.store.store import LANDMARK, MIGRATIONS, Store
from pilot_disk.database import connect, upgrade, writer
from pilot_proto.run import StageTime
from sqlalchemy import inspect, text
from unit.aggregator.test_observe import assignment, attempt, round_of
from unit.aggregator.world import MODEL, NOW, UID, base_slots, history, later, open_round, published_of, run_record
from unit.aggregator.world import store_in as store_of

TRAINED = (StageTime(stage="loading", seconds=2.5), StageTime(stage="training", seconds=40.0))


@pytest.fixture
def store(tmp_path):
    return store_of(tmp_path)


@pytest.fixture
def run(store):
    record = run_record()
    store.create_run(record, None, None)
    open_round(store, record, 0)
    store.adopt_publication(UID, 0, published_of(0, []), base_slots(), {}, MODEL, later(5))
    open_round(store, record, 1, history())
    return record


def intend(store, client, number):
    (made,) = store.intend(UID, 1, [Intent(client, number, f"job-{client}-{number}", {})], later(number))
    return made


# -- what is stored


def test_steps_are_the_events_of_one_round(store, run):
    store.store_step(UID, 1, later(60), "QuorumReached", "", quorum_at=later(60))
    store.add_event(UID, later(61), "ClientFailed", 1, "vqa-1", "no")
    assert store.times.steps(UID, 1) == {"RoundOpened": NOW, "QuorumReached": later(60)}
    assert store.times.steps(UID, 0) == {"RoundOpened": NOW, "RoundPublished": later(5)}


def test_timings_belong_to_the_newest_attempt_and_the_first_word_stays(store, run):
    for number in (1, 2):
        intend(store, "vqa-1", number)
    intend(store, "vqa-2", 1)
    store.times.note(UID, 1, "vqa-1", Timings(later(70), TRAINED))
    store.times.note(UID, 1, "vqa-1", Timings(later(90), ()))
    assert store.times.told(UID, 1) == {("vqa-1", 2): Timings(later(70), TRAINED)}


def test_timings_of_a_client_without_an_attempt_are_nothing(store, run):
    store.times.note(UID, 1, "vqa-1", Timings(later(70), TRAINED))
    assert store.times.told(UID, 1) == {}


def test_the_loop_reads_attempts_without_their_timings(store, run):
    made = intend(store, "vqa-1", 1)
    store.times.note(UID, 1, "vqa-1", Timings(later(70), TRAINED))
    assert store.attempts(UID, 1) == [made]


def test_a_database_of_before_gets_the_columns_and_keeps_its_rows(tmp_path):
    engine = connect(databases.empty_for(tmp_path, "old.sqlite"))
    upgrade(engine, MIGRATIONS, LANDMARK)
    with writer(engine).begin() as sql:
        for table, column in (("attempts", "timings"), ("assignments", "verdict_by"), ("assignments", "verdict_at")):
            sql.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        sql.execute(text("UPDATE alembic_version SET version_num = '0003'"))
    store = Store(engine)
    store.create_run(run_record(), None, None)
    upgrade(engine, MIGRATIONS, LANDMARK)
    assert "timings" in {column["name"] for column in inspect(engine).get_columns("attempts")}
    assert {"verdict_by", "verdict_at"} <= {column["name"] for column in inspect(engine).get_columns("assignments")}
    assert store.run("t") == run_record()


# -- what is told


def told(**more):
    known = {"steps": {}, "assignments": [assignment("cap-1"), assignment("vqa-1")], "attempts": [], "told": {}}
    return round_timeline(run_record(), round_of(), **{**known, **more})


def test_every_client_that_was_asked_is_there_with_its_attempts_in_order():
    found = told(attempts=[attempt("vqa-1", 1, "Lost", exit_code=None, message="gone"), attempt("vqa-1", 2)])
    assert [(c.client, c.task) for c in found.clients] == [("cap-1", "caption"), ("vqa-1", "vqa")]
    assert found.clients[0].attempts == ()
    assert [(a.attempt, a.state, a.message) for a in found.clients[1].attempts] == [
        (1, "Lost", "gone"),
        (2, "Running", ""),
    ]


def test_stages_stand_with_the_attempt_that_told_them():
    found = told(
        attempts=[attempt("vqa-1", 1, "Lost"), attempt("vqa-1", 2)], told={("vqa-1", 2): Timings(later(9), TRAINED)}
    )
    first, second = found.clients[1].attempts
    assert (first.stages, first.reported_at) == ((), None)
    assert (second.stages, second.reported_at) == (TRAINED, later(9))


def test_steps_that_are_not_done_have_no_time():
    found = told(steps={"RoundOpened": later(1), "RoundSealed": later(50)})
    assert (found.opened_at, found.sealed_at, found.planned_at, found.published_at) == (later(1), later(50), None, None)


def test_a_round_that_came_from_another_run_begins_with_its_record():
    assert told().opened_at == NOW
