"""The loop over fakes: what it does in which order, and what it leaves for its successor."""

import time
from math import inf

import pytest
from databases import every_database  # noqa: F401
from pilot_aggregator.merge.process import MergeProcess
from pilot_aggregator.rounds.act import Actor
from pilot_aggregator.rounds.measuring import FETCH
from pilot_aggregator.rounds.reconcile import Reconciler
from pilot_aggregator.rounds.workbench import Workbench
from pilot_client.errors import ApiError, Unreachable
from pilot_proto.canonical import digest_of
from pilot_proto.grant import Rejection, RoundView
from pilot_proto.problem import Problem
from pilot_proto.run import TERMINAL
from pilot_proto.update import UPDATE_FILE
from unit.aggregator.service import service_in
from unit.aggregator.world import (
    CLIENTS,
    MODEL,
    NOW,
    UID,
    FakeBackend,
    base_slots,
    history,
    open_round,
    published_of,
    run_record,
    said_of,
    spec_of,
    update_of,
)

HALF = {"quorum": "50%", "quorum_per_task": 0, "attempts": 1}


class World:
    """A service, and what a test does from outside."""

    def __init__(self, folder):
        self.service = service_in(folder)
        self.store = self.service.store
        self.registry = self.service.registry
        # Whatever else this machine does.
        self.service.reconciler.turn_s = inf

    @property
    def backend(self) -> FakeBackend:
        return self.service.attempts._backend

    def create(self, published=-1, **spec):
        """A run that has published some rounds, without having merged anything."""
        record = run_record(spec=spec_of(method="fedavg", **spec), phase="Preparing", through=9)
        self.store.create_run(record, None, None)
        for number in range(published + 1):
            open_round(self.store, self.run, number, history())
            self.store.adopt_publication(UID, number, published_of(number, []), base_slots(), {}, MODEL, NOW)
        if published >= 0:
            self.store.write_status(self.run, phase="Merging", conditions=(), round=published, ended_at=None)
        return self

    @property
    def run(self):
        return self.store.run("t")

    def tick(self):
        self.service.reconciler.tick("t")
        return self.run

    def to_the_end(self):
        for _ in range(200):
            self.service.loop.bell.clear()
            if self.tick().phase in TERMINAL:
                return self.run
            self.service.loop.bell.wait(1)
        raise AssertionError(f"the run is still {self.run.phase}")

    def conditions(self):
        return {c.type: (c.reason, c.message) for c in self.run.conditions}

    def jobs(self, number):
        return {a.client: a.job for a in self.store.attempts(UID, number)}

    def admit(self, number, *clients):
        """These clients' evaluations are in the registry."""
        admitted = []
        for client in clients:
            update = update_of(client, CLIENTS[client])
            said = said_of(client, CLIENTS[client], round=number, program="evaluate")
            raw = said.model_dump_json().encode()
            self.registry.files[digest_of(raw)] = raw
            file = update.files[UPDATE_FILE].model_copy(update={"digest": digest_of(raw)})
            admitted.append(update.model_copy(update={"files": {**update.files, UPDATE_FILE: file}}))
        self.registry.views[number] = RoundView(admitted=tuple(admitted))

    def restarted(self):
        """Another process over the same store, registry and backend."""
        old = self.service.reconciler
        bench = Workbench(
            self.store,
            self.registry,
            self.service.background,
            MergeProcess(),
            self.service.clock,
            self.service.spool,
        )
        actor = Actor(self.service.attempts, bench)
        return Reconciler(self.store, self.registry, old.attempts, actor, old.clock, {}, old.clock.now(), turn_s=inf)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.service.background.close()


def test_a_new_run_opens_round_0_grants_it_and_launches_its_one_job(world):
    run = world.create().tick()
    assert (run.phase, run.round, run.conditions) == ("Preparing", 0, ())
    assert set(world.registry.grants) == {(0, "base")}
    assert set(world.jobs(0)) == {"base"}


def test_the_next_round_is_opened_for_everybody(world):
    run = world.create(published=0).tick()
    assert (run.phase, run.round) == ("Training", 1)
    assert set(world.registry.grants) == {(1, client) for client in CLIENTS}
    assert set(world.jobs(1)) == set(CLIENTS)


def test_a_run_with_much_to_do_goes_on_after_the_others_had_their_turn(world):
    world.create(published=0)
    world.service.reconciler.turn_s = 0.0
    turns = 0
    while world.service.reconciler.tick("t"):
        turns += 1
    assert turns > 0
    assert set(world.jobs(1)) == set(CLIENTS)
    world.service.loop._tick_all()
    assert len(world.backend.jobs) == len(CLIENTS)


def test_a_loop_that_is_told_that_there_is_more_looks_again_at_once(world):
    world.create(published=0)
    world.service.reconciler.turn_s = 0.0
    assert world.service.loop._tick_all() is True
    while world.service.loop._tick_all():
        pass
    assert set(world.jobs(1)) == set(CLIENTS)


def test_a_round_of_many_clients_is_begun_a_hundred_at_a_time(tmp_path):
    many = {f"c-{number:03d}": "vqa" for number in range(250)}
    service = service_in(tmp_path)
    service.reconciler.turn_s = 0.0
    service.store.create_run(run_record(clients=many, spec=spec_of(method="fedavg"), through=9), None, None)
    open_round(service.store, service.store.run("t"), 0, history())
    service.store.adopt_publication(UID, 0, published_of(0, []), base_slots(), {}, MODEL, NOW)
    begun = []
    while service.reconciler.tick("t"):
        begun.append(len(service.store.attempts(UID, 1)))
    service.background.close()
    assert sorted(set(begun)) == [0, 100, 200, 250]


def test_of_updates_that_are_known_the_registry_is_not_asked_again(world):
    world.create(published=1, rounds=["plain"]).tick()
    asked = []
    told = world.registry.round

    def round(uid, number, known=0):
        asked.append(known)
        return told(uid, number, known)

    world.registry.round = round
    for clients in (["cap-1"], ["cap-1", "vqa-1"]):
        world.admit(2, *clients)
        world.tick()
    assert asked == [0, 1]
    assert {c.name for c in world.service.view(world.run).status.clients if c.state == "Answered"} == {"cap-1", "vqa-1"}


def test_a_registry_that_lost_updates_is_believed(world):
    world.create(published=1, rounds=["plain"]).tick()
    for clients in (["cap-1", "vqa-1"], ["vqa-1"]):
        world.admit(2, *clients)
        world.tick()
    assert {c.name for c in world.service.view(world.run).status.clients if c.state == "Answered"} == {"vqa-1"}


def test_what_is_admitted_is_fetched_before_the_seal(world):
    world.create(published=1, rounds=["plain"]).tick()
    world.admit(2, "cap-1")
    world.tick()
    while world.service.background.busy((UID, 2, FETCH)):
        time.sleep(0.01)
    fetched = {file.name for file in (world.service.spool / UID / "2" / "inputs").iterdir()}
    (said,) = [update.files[UPDATE_FILE].digest for update in world.registry.views[2].admitted]
    assert fetched == {said.removeprefix("sha256:")}


def test_what_cannot_be_fetched_ahead_is_no_fault(world):
    world.create(published=1, rounds=["plain"]).tick()
    world.admit(2, "cap-1")
    files, world.registry.files = world.registry.files, {}
    world.tick()
    world.registry.files = files
    world.admit(2, *CLIENTS)
    assert world.to_the_end().phase == "Succeeded"


def test_ticking_again_does_nothing_twice(world):
    world.create(published=0).tick()
    before = (world.run, world.jobs(1), dict(world.backend.jobs))
    world.service.attempts.follow(world.store.attempts(UID, 1))
    noted = len(world.store.events_after(UID, 0))
    assert (world.tick(), world.jobs(1), world.backend.jobs) == before
    assert len(world.store.events_after(UID, 0)) == noted


def test_a_successor_grants_again_and_launches_nothing_again(world):
    world.create(published=0).tick()
    jobs = world.jobs(1)
    world.registry.grants.clear()
    world.restarted().tick("t")
    assert set(world.registry.grants) == {(1, client) for client in CLIENTS}
    assert world.jobs(1) == jobs


def test_a_run_whose_first_round_cannot_be_prepared_fails_and_says_why(world):
    world.create().tick()
    world.backend.end(world.jobs(0)["base"], 65, "no model")
    world.store.change_assignment(UID, 0, "base", failure="bad_model: no config.json")
    run = world.to_the_end()
    assert run.phase == "Failed"
    assert run.ended_at == NOW
    reason, message = world.conditions()["Failed"]
    assert reason == "QuorumMissed"
    assert "base (bad_model: no config.json)" in message
    assert "No round was published" in message
    assert world.registry.revoked == 1


def test_a_run_that_fails_later_prints_how_to_go_on(world):
    world.create(published=1, participation={"attempts": 1}).tick()
    for job in world.jobs(2).values():
        world.backend.end(job, 65)
    assert world.to_the_end().phase == "Failed"
    assert "start_from: {run: t, round: 1}" in world.conditions()["Failed"][1]


def test_cancel_revokes_grants_and_deletes_jobs(world):
    world.create(published=0).tick()
    world.store.request(UID, cancelling=True)
    assert world.to_the_end().phase == "Cancelled"
    assert world.registry.revoked == 1
    assert sorted(world.backend.deleted) == sorted(world.jobs(1).values())
    assert {a.state for a in world.store.attempts(UID, 1)} == {"Stopped"}


def test_an_ended_run_is_left_alone(world):
    world.create().tick()
    world.store.request(UID, cancelling=True)
    world.to_the_end()
    before = world.run
    assert world.tick() == before
    assert world.registry.revoked == 1


def test_a_pause_waits_between_rounds_and_says_so_until_it_is_resumed(world):
    world.create(published=0)
    world.store.request(UID, paused=True)
    world.tick()
    assert world.conditions()["Paused"][0] == "Paused"
    assert world.jobs(1) == {}
    world.store.request(UID, paused=False)
    world.tick()
    assert world.conditions() == {}
    assert set(world.jobs(1)) == set(CLIENTS)


def test_a_pause_during_a_round_is_announced(world):
    world.create(published=0).tick()
    world.store.request(UID, paused=True)
    world.tick()
    assert world.conditions()["Paused"] == ("Pausing", "after the round at work is published")
    assert world.run.phase == "Training"


def test_a_manual_run_says_that_it_waits_for_its_trigger(world):
    world.create(published=0)
    with world.store._writer.begin() as sql:
        sql.exec_driver_sql("UPDATE runs SET through = 0")
    world.tick()
    assert "AwaitingTrigger" in world.conditions()
    world.store.request(UID, through=1)
    assert world.tick().round == 1


def test_a_rejected_upload_is_the_clients_reason_and_told_once(world):
    world.create(published=0).tick()
    rejected = Rejection(client="vqa-1", code="not_finite", message="tensor 'q' has a NaN", sequence=1)
    world.registry.views[1] = RoundView(rejections=(rejected,))
    for _ in range(2):
        world.tick()
    (record,) = [a for a in world.store.assignments(UID, 1) if a.client == "vqa-1"]
    assert record.failure == "not_finite: tensor 'q' has a NaN"
    told = [e for e in world.store.events_after(UID, 0) if e.type == "UploadRejected"]
    assert [(e.client, e.message) for e in told] == [("vqa-1", record.failure)]


def evaluating(world, **participation):
    """A run whose only training round is published; its evaluation is open."""
    world.create(published=1, rounds=["plain"], participation={**HALF, **participation}).tick()
    return world


def test_the_last_round_evaluates_and_the_run_succeeds(world):
    evaluating(world)
    assert world.run.phase == "Evaluating"
    world.admit(2, *CLIENTS)
    run = world.to_the_end()
    assert (run.phase, run.published, run.conditions) == ("Succeeded", 2, ())
    assert world.registry.requests[2].manifests == ()
    assert {a.state for a in world.store.attempts(UID, 2)} == {"Succeeded"}
    assert not [job for job in world.backend.deleted if "-r2-" in job]
    told = [e.type for e in world.store.events_after(UID, 0) if e.type.startswith(("Round", "Run"))]
    steps = ["RoundSealed", "RoundMeasured", "RoundPlanned", "RoundMerged", "RoundPublished", "RunSucceeded"]
    assert told[-6:] == steps


def test_a_run_that_lost_somebody_succeeds_and_says_so(world):
    evaluating(world)
    world.backend.end(world.jobs(2)["vqa-2"], 65)
    world.store.change_assignment(UID, 2, "vqa-2", failure="bad_data: none")
    world.admit(2, "cap-1", "vqa-1")
    assert world.to_the_end().phase == "Succeeded"
    assert world.conditions() == {"Partial": ("ClientLost", "round 2: vqa-2 (bad_data)")}


def test_a_quorum_is_noted_and_the_others_have_their_grace(world):
    evaluating(world, grace_s=60)
    world.admit(2, "cap-1", "vqa-1")
    world.tick()
    assert world.store.round(UID, 2).quorum_at == NOW
    assert world.registry.sealed == {}
    world.service.clock.advance(60)
    world.tick()
    assert [u.client for u in world.registry.sealed[2].updates] == ["cap-1", "vqa-1"]


def test_plan_and_ledger_are_uploaded_under_the_digests_that_the_publication_names(world):
    evaluating(world)
    world.admit(2, *CLIENTS)
    world.to_the_end()
    publication = world.store.round(UID, 2).publication
    assert {publication.plan, publication.ledger} <= set(world.registry.files)


@pytest.mark.parametrize(("kept", "retired"), [("until-run-ends", True), ("forever", False)])
def test_raw_updates_are_retired_as_the_run_says(world, kept, retired):
    world.create(published=1, rounds=["plain"], participation=HALF, retention={"raw_updates": kept}).tick()
    world.admit(2, *CLIENTS)
    world.to_the_end()
    assert ({0, 1, 2} <= set(world.registry.retired)) is retired
    assert bool(world.registry.retired) is retired


def refused(status, code):
    def refuse(*_):
        raise ApiError(Problem(type="x", title="x", status=status, code=code, detail="other bytes"))

    return refuse


def test_a_round_that_was_published_with_another_content_stops_the_run_loudly(world):
    evaluating(world)
    world.admit(2, *CLIENTS)
    world.registry.publish = refused(409, "already_published")
    assert world.to_the_end().phase == "Failed"
    reason, message = world.conditions()["Failed"]
    assert reason == "PublishedDiffers"
    assert "other bytes" in message


def test_a_registry_that_is_away_makes_the_run_wait(world):
    world.create(published=0).tick()

    def away(*_):
        raise Unreachable("the registry did not answer")

    world.registry.round = away
    before = world.run
    with pytest.raises(Unreachable):
        world.tick()
    world.service.loop._tick("t")
    assert world.run == before


def test_an_unexpected_error_in_one_run_leaves_it_alone_for_a_while_and_the_others_go_on(world):
    world.create(published=0).tick()
    other = run_record("u", "f" * 32, spec=spec_of(method="fedavg"), through=9)
    world.store.create_run(other, None, None)
    asked = []

    def broken(uid, number, known=0):
        asked.append(uid)
        if uid == UID:
            raise RuntimeError("a bug")
        return RoundView()

    world.registry.round = broken
    for _ in range(2):
        world.service.loop._tick_all()
    assert asked.count(UID) == 1
    assert asked.count(other.uid) > 1
    assert world.store.round(other.uid, 0) is not None
    assert world.service.loop.last_tick == NOW
