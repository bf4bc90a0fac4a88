"""What the aggregator remembers."""

import threading
from dataclasses import replace
from datetime import timedelta

import databases
import pytest
from databases import every_database  # noqa: F401
from pilot_aggregator.rounds.assign import plan_round
from pilot_aggregator.rounds.gate import Measurement
from pilot_aggregator.store import tables
from pilot_aggregator.store.records import AttemptChange, Intent
from pilot_aggregator.store.runs import NameTaken, StaleStatus
from pilot_aggregator.store.store import LANDMARK, MIGRATIONS, Store
from pilot_disk.database import connect, upgrade
from pilot_proto.canonical import canonical_bytes, digest_of
from pilot_proto.plan import MergePlan
from pilot_proto.run import Condition
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import IntegrityError
from unit.aggregator.world import (
    CLIENTS,
    MODEL,
    NOW,
    UID,
    accepted,
    base_slots,
    history,
    later,
    open_round,
    plan_of,
    published_of,
    run_record,
    sealed_of,
    spec_of,
    store_in,
)


@pytest.fixture
def store(tmp_path):
    return store_in(tmp_path)


@pytest.fixture
def run(store):
    record = run_record()
    store.create_run(record, None, None)
    return record


def events(store):
    return [(e.type, e.client, e.message) for e in store.events_after(UID, 0)]


def write(store, run, **values):
    default = {"phase": "Training", "conditions": (), "round": 1, "ended_at": None}
    store.write_status(run, **{**default, **values})


# -- the database itself


def test_migrations_from_nothing_make_every_table(tmp_path):
    engine = connect(databases.empty_for(tmp_path, "new.sqlite"))
    upgrade(engine, MIGRATIONS, LANDMARK)
    there = inspect(engine).get_table_names()
    assert set(there) == {*tables.metadata.tables, "alembic_version"}
    for name, table in tables.metadata.tables.items():
        assert {c["name"] for c in inspect(engine).get_columns(name)} == {c.name for c in table.columns}


def test_migrating_again_changes_nothing_and_loses_nothing(tmp_path):
    engine = connect(databases.empty_for(tmp_path, "new.sqlite"))
    for _ in range(2):
        upgrade(engine, MIGRATIONS, LANDMARK)
        store = Store(engine)
        if store.run("t") is None:
            store.create_run(run_record(), None, None)
    assert store.run("t") == run_record()
    assert len(store.runs(None, 10, None)) == 1


def test_sqlite_keeps_what_was_committed_through_a_power_cut(tmp_path):
    with connect(f"sqlite:///{tmp_path / 'kept.sqlite'}").connect() as sql:
        found = {name: sql.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")}
        assert found == {"journal_mode": "wal", "synchronous": 2}
        assert sql.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_readiness_is_that_the_database_answers(tmp_path):
    store_in(tmp_path).check()
    missing = Store(create_engine(f"sqlite:///{tmp_path / 'no folder' / 'x.sqlite'}"))
    with pytest.raises(Exception, match="unable to open database file"):
        missing.check()


# -- runs


def test_a_run_is_read_back_as_it_was_stored(store):
    record = run_record(
        spec=spec_of(clients=["vqa-1"], merge={"text": {"neighbours": 3}}),
        conditions=(Condition(type="Partial", reason="ClientLost", message="round 1: a"),),
    )
    store.create_run(record, None, None)
    assert store.run("t") == record


def test_a_name_is_taken_once(store, run):
    with pytest.raises(NameTaken):
        store.create_run(run_record(uid="f" * 32), None, None)
    assert store.run("t").uid == UID


def test_an_unknown_run_is_none(store):
    assert store.run("nobody") is None


def test_a_refused_run_leaves_no_trace(store, run):
    with pytest.raises(NameTaken):
        store.create_run(run_record(uid="f" * 32), None, ("operator", "key-1", "digest"))
    assert store.remembered("operator", "key-1") is None
    assert store.events_after("f" * 32, 0) == []


def test_an_idempotency_key_belongs_to_its_principal(store):
    store.create_run(run_record(), None, ("operator", "key-1", "digest"))
    assert store.remembered("operator", "key-1") == ("digest", "t")
    assert store.remembered("admin", "key-1") is None
    assert store.remembered("operator", "key-2") is None


def test_an_idempotency_key_is_good_for_a_day(store):
    store.create_run(run_record(), None, ("operator", "key-1", "digest"))
    store.forget_idempotency(NOW + timedelta(days=1))
    assert store.remembered("operator", "key-1") is not None
    store.forget_idempotency(NOW + timedelta(days=1, seconds=1))
    assert store.remembered("operator", "key-1") is None


def many(store, count=7):
    """Runs r0, r1, ...; two at a time at the same moment."""
    for i in range(count):
        store.create_run(run_record(f"r{i}", f"{i:032}", created_at=later(i // 2)), None, None)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_hold_every_run_once_the_newest_first(store, limit):
    many(store)
    found, after = [], None
    while page := store.runs(None, limit, after):
        assert len(page) <= limit
        found += [r.name for r in page]
        after = (page[-1].created_at, page[-1].uid)
    assert found == ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]


def test_a_page_is_stable_while_runs_are_added(store):
    many(store)
    first = store.runs(None, 3, None)
    store.create_run(run_record("new", "f" * 32, created_at=later(99)), None, None)
    second = store.runs(None, 3, (first[-1].created_at, first[-1].uid))
    assert [r.name for r in first + second] == ["r6", "r5", "r4", "r3", "r2", "r1"]


def test_runs_are_counted_and_chosen_by_phase(store):
    many(store, 3)
    write(store, store.run("r1"), phase="Failed", ended_at=later(9))
    assert [r.name for r in store.runs("Failed", 10, None)] == ["r1"]
    assert store.count_by_phase() == {"Preparing": 2, "Failed": 1}
    assert store.active_runs() == ["r0", "r2"]


# -- the status


def test_the_status_is_written_over_the_revision_that_was_read(store, run):
    write(store, run, conditions=(Condition(type="Paused", reason="Paused"),))
    now = store.run("t")
    assert (now.phase, now.round, now.revision) == ("Training", 1, 1)
    assert now.conditions[0].type == "Paused"


def test_a_status_concluded_from_an_old_view_is_refused(store, run):
    write(store, run)
    with pytest.raises(StaleStatus):
        write(store, run, phase="Failed")
    assert store.run("t").phase == "Training"


@pytest.mark.parametrize("wish", [{"paused": True}, {"cancelling": True}, {"through": 9}])
def test_a_wish_makes_the_status_under_way_stale(store, run, wish):
    store.request(UID, **wish)
    with pytest.raises(StaleStatus):
        write(store, run)
    assert all(getattr(store.run("t"), name) == value for name, value in wish.items())


def test_the_trigger_is_a_maximum(store, run):
    for through, stands in ((2, 4), (6, 6), (5, 6)):
        store.request(UID, through=through)
        assert store.run("t").through == stands


def test_a_smaller_trigger_changes_nothing_at_all(store, run):
    store.request(UID, through=1)
    assert store.run("t") == run


# -- rounds


def test_a_round_is_opened_whole_and_once(store, run):
    open_round(store, run, 1)
    before = events(store)
    open_round(store, run, 1)
    assert [a.client for a in store.assignments(UID, 1)] == sorted(CLIENTS)
    assert events(store) == before
    assert before[-1] == ("RoundOpened", "", "stage-1 for 3 clients")


def test_an_assignment_is_stored_as_its_canonical_bytes(store, run):
    open_round(store, run, 1)
    for record, planned in zip(store.assignments(UID, 1), plan_round(run.plan, history(), 1), strict=True):
        assert record.body == canonical_bytes(planned)
        assert record.digest == digest_of(record.body)


def test_a_round_needs_its_run(store):
    with pytest.raises(IntegrityError):
        open_round(store, run_record(), 1)


def test_the_documents_of_a_step_are_facts(store, run):
    open_round(store, run, 1)
    store.store_step(UID, 1, NOW, "RoundSealed", "3 updates", sealed=sealed_of(CLIENTS))
    store.store_step(UID, 1, later(9), "RoundSealed", "1 update", sealed=sealed_of({"vqa-1": "vqa"}))
    assert store.round(UID, 1).sealed == sealed_of(CLIENTS)
    assert [e for e in events(store) if e[0] == "RoundSealed"] == [("RoundSealed", "", "3 updates")]


def test_every_document_is_read_back_as_it_was_stored(store, run):
    open_round(store, run, 1)
    plan = MergePlan(run="t", round=1, program="stage-1")
    whole = Measurement("euclidean", ("a", "b"), ((0.0, 1e-17), (1e-17, 0.0)), (0.1, 2.0), {"a": 1e-17, "b": 1e-17})
    measured = {"text": whole, "connector": replace(whole, matrix=())}
    for name, value in {
        "quorum_at": later(3),
        "sealed": sealed_of(CLIENTS),
        "measured": measured,
        "plan": plan,
        "merged": {},
    }.items():
        store.store_step(UID, 1, NOW, name, "", **{name: value})
        assert getattr(store.round(UID, 1), name) == value
        another_process = Store(store._engine)
        assert getattr(another_process.round(UID, 1), name) == value
    assert store.round(UID, 1).ledger is None


def test_what_came_second_is_not_remembered_instead_of_what_is_stored(store, run):
    open_round(store, run, 1)
    store.store_step(UID, 1, NOW, "RoundSealed", "", sealed=sealed_of(CLIENTS))
    store.store_step(UID, 1, NOW, "RoundSealed", "", sealed=sealed_of({"vqa-1": "vqa"}))
    assert store.round(UID, 1).sealed == sealed_of(CLIENTS)


def test_a_publication_moves_the_run_and_is_adopted_once(store, run):
    open_round(store, run, 0)
    slots, states = base_slots(), {"vqa-1": (accepted(1, "stage-1"),)}
    publication = published_of(0, slots.values())
    for _ in range(2):
        store.adopt_publication(UID, 0, publication, slots, states, MODEL, NOW)
    now = store.run("t")
    assert (now.published, now.slots, now.accepted, now.model) == (0, slots, states, MODEL)
    assert now.revision == 1
    assert store.round(UID, 0).publication == publication
    assert [e[0] for e in events(store)].count("RoundPublished") == 1


def test_a_run_has_what_stands_after_its_last_published_round(store, run):
    for number in (0, 1):
        open_round(store, run, number)
        slots = {**base_slots(), **({"text/global": base_slots()["text/base"]} if number else {})}
        store.adopt_publication(UID, number, published_of(number, []), slots, {}, MODEL, NOW)
        assert store.run("t").slots == slots
    assert [r.number for r in store.rounds(UID)] == [0, 1]


def test_a_run_that_starts_from_another_is_stored_with_its_first_round(store, run):
    open_round(store, run, 0)
    store.adopt_publication(UID, 0, published_of(0, []), base_slots(), {}, MODEL, NOW)
    first = replace(store.round(UID, 0), uid="f" * 32)
    store.create_run(run_record("u", "f" * 32, published=0, model=MODEL), first, None)
    assert store.run("u").slots == base_slots()
    assert store.round("f" * 32, 0) == first


# -- clients


def test_what_becomes_of_a_client_is_written_to_it_alone(store, run):
    open_round(store, run, 1)
    store.change_assignment(UID, 1, "vqa-1", failure="bad_data: none", budget_from=2, verdict="drop")
    changed, other = store.assignments(UID, 1)[1:]
    assert (changed.failure, changed.budget_from, changed.verdict) == ("bad_data: none", 2, "drop")
    assert (other.failure, other.budget_from, other.verdict) == ("", 0, None)


def test_an_intent_is_stored_with_the_rendered_job(store, run):
    open_round(store, run, 1)
    job = {"environment": {"A": "1"}, "labels": {"run": "t"}}
    store.intend(UID, 1, [Intent("vqa-1", 1, "job-1", job)], NOW)
    (attempt,) = store.attempts(UID, 1)
    assert (attempt.state, attempt.created, store.rendered("job-1")) == ("Intended", False, job)
    assert store.active_attempt_states() == ["Intended"]
    values = {"state": "Failed", "message": "no", "exit_code": 65}
    store.change_attempts([AttemptChange(attempt, values, "AttemptFailed")], later(1))
    (attempt,) = store.attempts(UID, 1)
    assert (attempt.state, attempt.exit_code) == ("Failed", 65)
    assert store.active_attempt_states() == []
    assert events(store)[-1] == ("AttemptFailed", "vqa-1", "no")


def test_a_job_is_intended_once(store, run):
    open_round(store, run, 1)
    store.intend(UID, 1, [Intent("vqa-1", 1, "job-1", {})], NOW)
    with pytest.raises(IntegrityError):
        store.intend(UID, 1, [Intent("cap-1", 1, "job-2", {}), Intent("vqa-1", 1, "job-1", {})], NOW)
    assert [attempt.job for attempt in store.attempts(UID, 1)] == ["job-1"], "all of them, or none"


# -- events


def test_events_resume_after_the_last_one_seen(store, run):
    for number in range(5):
        store.add_event(UID, later(number), "Noted", number, "", str(number))
    every = store.events_after(UID, 0)
    assert [e.message for e in every[1:]] == ["0", "1", "2", "3", "4"]
    assert store.events_after(UID, every[2].id) == every[3:]
    assert store.events_after(UID, every[-1].id) == []
    assert [e.id for e in store.events_after(UID, 0, limit=2)] == [e.id for e in every[:2]]


def test_events_of_other_runs_are_not_seen(store, run):
    store.create_run(run_record("u", "f" * 32), None, None)
    assert {e.uid for e in store.events_after(UID, 0)} == {UID}


def test_an_event_is_cut_before_it_fills_the_database(store, run):
    store.add_event(UID, NOW, "ClientFailed", 1, "vqa-1", "x" * 100_000)
    assert len(store.events_after(UID, 0)[-1].message) == 2000


# -- two writers


def test_of_two_writers_with_the_same_view_one_wins(tmp_path):
    store = store_in(tmp_path)
    store.create_run(run_record(), None, None)
    view = store.run("t")
    begin, outcomes = threading.Barrier(4), []

    def conclude(number):
        own = store_in(tmp_path)
        begin.wait()
        try:
            write(own, view, round=number)
        except StaleStatus:
            outcomes.append("stale")
        else:
            outcomes.append(number)

    threads = [threading.Thread(target=conclude, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (won,) = [o for o in outcomes if o != "stale"]
    assert store.run("t").round == won
    assert outcomes.count("stale") == 3


def test_writers_in_turn_lose_nothing_and_a_reader_holds_nobody_up(tmp_path):
    store = store_in(tmp_path)
    store.create_run(run_record(), None, None)
    begin = threading.Barrier(3)

    def note(who):
        own = store_in(tmp_path)
        begin.wait()
        for number in range(20):
            own.add_event(UID, NOW, "Noted", number, who, "")
            own.events_after(UID, 0)

    threads = [threading.Thread(target=note, args=(who,)) for who in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    noted = [(e.client, e.round) for e in store.events_after(UID, 0) if e.type == "Noted"]
    assert sorted(noted) == [(who, number) for who in "abc" for number in range(20)]


def test_what_a_run_planned_is_the_same_after_it_was_stored(store, run):
    open_round(store, run, 1)
    stored = store.run("t")
    assert stored.plan == run.plan == plan_of()
