"""Jobs as processes of this machine: the real fork server, a tiny entry."""

import fcntl
import json
import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pilot_aggregator.jobs.backend import JobConflict, JobRequest
from pilot_aggregator.jobs.local import LocalBackend

LIMIT_S = 20
TESTS = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def _fork_server_finds_the_entry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(TESTS))
        yield


@pytest.fixture
def place(tmp_path):
    (tmp_path / "place").mkdir()
    yield tmp_path / "place"
    (tmp_path / "place" / "go").touch()


@pytest.fixture
def backend(tmp_path, place):
    return backend_in(tmp_path)


def backend_in(folder, slots=2):
    devices = [{"DEVICE": str(index)} for index in range(slots)]

    def environment(client):
        return {"PLACE": str(folder / "place"), "SECRET": f"of {client}"}

    return LocalBackend(folder / "jobs", entry="unit.aggregator.jobs_entry:run", environment=environment, slots=devices)


def job(backend, told, name="j1"):
    return backend.render(JobRequest(name, "vqa-1", {"TOLD": told}, {"run": "t"}))


def create(backend, told, name="j1"):
    backend.create(name, job(backend, told, name))


def state(backend, name="j1"):
    return backend.observe([name]).get(name)


def eventually(look):
    deadline = time.monotonic() + LIMIT_S
    while not (found := look()):
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.005)
    return found


def until(backend, phase, name="j1"):
    return eventually(lambda: (found := state(backend, name)) and found.phase == phase and found)


def runs(place):
    return (place / "ran").read_text().splitlines() if (place / "ran").exists() else []


def at_work(place, count=1):
    """That many entries have begun."""
    eventually(lambda: len(runs(place)) >= count)


def pid_of(tmp_path, name="j1"):
    return int((tmp_path / "jobs" / name / "lock").read_text())


def test_a_job_that_returns_zero_succeeds(backend, place):
    before = datetime.now(UTC) - timedelta(seconds=1)
    create(backend, "succeed")
    done = until(backend, "Succeeded")
    assert (done.exit_code, done.message) == (0, "")
    assert before <= done.started_at <= done.ended_at
    assert len(runs(place)) == 1


def test_a_job_that_fails_leaves_its_code_and_its_message(backend):
    create(backend, "fail")
    done = until(backend, "Failed")
    assert (done.exit_code, done.message) == (65, "record 7 has no image")


@pytest.mark.parametrize(("told", "code"), [("raise", 1), ("exit", 78)])
def test_a_job_that_breaks_out_fails(backend, told, code):
    create(backend, told)
    assert until(backend, "Failed").exit_code == code


def test_what_a_job_prints_is_its_log(backend):
    create(backend, "raise")
    until(backend, "Failed")
    assert "was told to raise" in backend.logs("j1")
    assert "ValueError: nobody expected this" in backend.logs("j1")
    assert backend.logs("unknown") == ""


def test_a_client_has_its_own_environment_and_a_job_nobody_elses(backend):
    create(backend, "tell")
    until(backend, "Succeeded")
    assert "of vqa-1" in backend.logs("j1")
    assert "SECRET" not in os.environ
    other = backend.render(JobRequest("j2", "vqa-2", {"TOLD": "succeed"}))
    assert other["environment"]["SECRET"] == "of vqa-2"


def test_an_unknown_job_is_not_there(backend):
    create(backend, "succeed")
    assert set(backend.observe(["j1", "j2"])) == {"j1"}


def test_rendering_is_plain_json_and_the_same_every_time(backend):
    assert job(backend, "succeed") == json.loads(json.dumps(job(backend, "succeed")))


def test_jobs_queue_for_slots_and_each_slot_is_one_jobs_at_a_time(tmp_path, place):
    backend = backend_in(tmp_path, slots=2)
    for name in ("j1", "j2", "j3"):
        create(backend, "wait", name)
    at_work(place, 2)
    phases = sorted(s.phase for s in backend.observe(["j1", "j2", "j3"]).values())
    assert phases == ["Queued", "Running", "Running"]
    assert sorted(line.split()[1] for line in runs(place)) == ["0", "1"]
    (place / "go").touch()
    names = ["j1", "j2", "j3"]
    eventually(lambda: all(s.phase == "Succeeded" for s in backend.observe(names).values()))
    assert len(runs(place)) == 3


def test_a_second_backend_adopts_a_job_that_is_still_at_work(tmp_path, place, backend):
    create(backend, "wait")
    at_work(place)
    successor = backend_in(tmp_path)
    assert state(successor).phase == "Running"
    create(successor, "wait")
    (place / "go").touch()
    assert until(successor, "Succeeded").exit_code == 0
    assert len(runs(place)) == 1


def test_a_finished_job_is_not_run_again(tmp_path, place, backend):
    create(backend, "succeed")
    until(backend, "Succeeded")
    create(backend_in(tmp_path), "succeed")
    assert state(backend).phase == "Succeeded"
    assert len(runs(place)) == 1


def test_a_killed_job_is_lost_and_not_run_again(tmp_path, place):
    backend = backend_in(tmp_path, slots=1)
    create(backend, "wait")
    at_work(place)
    os.kill(pid_of(tmp_path), signal.SIGKILL)
    lost = until(backend, "Lost")
    assert (lost.exit_code, lost.message) == (None, "the process was killed")
    create(backend, "wait")
    # Were it run again, it would hold the only slot.
    for name in ("j2", "j3", "j4"):
        create(backend, "succeed", name)
        until(backend, "Succeeded", name)
    assert state(backend).phase == "Lost"
    assert len(runs(place)) == 4


def test_a_killed_job_frees_its_slot(tmp_path, place):
    backend = backend_in(tmp_path, slots=1)
    create(backend, "wait")
    at_work(place)
    os.kill(pid_of(tmp_path), signal.SIGKILL)
    until(backend, "Lost")
    create(backend, "succeed", "j2")
    until(backend, "Succeeded", "j2")


def test_a_job_that_was_deleted_before_it_started_never_starts(tmp_path, place):
    backend = backend_in(tmp_path, slots=1)
    create(backend, "wait")
    at_work(place)
    create(backend, "succeed", "j2")
    assert state(backend, "j2").phase == "Queued"
    backend.delete("j2")
    assert state(backend, "j2").message == "deleted before it started"
    (place / "go").touch()
    until(backend, "Succeeded")
    create(backend, "succeed", "j2")
    assert state(backend, "j2").phase == "Lost"
    assert len(runs(place)) == 1


def test_a_running_job_that_is_deleted_is_terminated(place, backend):
    create(backend, "wait")
    at_work(place)
    backend.delete("j1")
    until(backend, "Lost")
    backend.delete("j1")


def test_deleting_an_unknown_job_or_a_finished_one_does_nothing(backend):
    backend.delete("j1")
    create(backend, "succeed")
    until(backend, "Succeeded")
    backend.delete("j1")
    assert state(backend).phase == "Succeeded"


def test_of_two_creations_at_once_one_process_runs(tmp_path, place):
    backends = [backend_in(tmp_path, slots=4) for _ in range(3)]
    begin = threading.Barrier(3)

    def race(backend):
        begin.wait()
        create(backend, "wait")

    threads = [threading.Thread(target=race, args=(backend,)) for backend in backends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Whoever gave way is started again by a look, as in every tick.
    eventually(lambda: state(backends[0]) and runs(place))
    (place / "go").touch()
    until(backends[0], "Succeeded")
    assert len(runs(place)) == 1


def test_another_job_of_the_same_name_is_a_conflict(backend):
    create(backend, "succeed")
    with pytest.raises(JobConflict, match="'j1'"):
        create(backend, "fail")
    assert until(backend, "Succeeded").exit_code == 0


def test_a_job_that_was_stored_but_never_forked_is_queued_and_started_by_a_look(tmp_path, backend):
    folder = tmp_path / "jobs" / "j1"
    folder.mkdir()
    (folder / "spec.json").write_text(json.dumps(job(backend, "succeed")))
    assert state(backend).phase == "Queued"
    until(backend, "Succeeded")


def test_a_pid_that_holds_no_lock_is_left_alone(tmp_path, backend):
    """The pid in the file of a job that is over may be anybody's by now; here it is ours."""
    create(backend, "succeed")
    until(backend, "Succeeded")
    (tmp_path / "jobs" / "j1" / "lock").write_text(str(os.getpid()))
    backend.delete("j1")
    assert state(backend).phase == "Succeeded"


def test_a_lock_that_is_held_means_running_whatever_else_is_there(tmp_path, backend):
    folder = tmp_path / "jobs" / "j1"
    folder.mkdir()
    (folder / "spec.json").write_text(json.dumps(job(backend, "wait")))
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert state(backend).phase == "Running"


class Foreign(dict):
    """Of a module that the forked process cannot import, as when an installation is broken."""


def test_a_job_whose_process_cannot_even_start_has_failed_and_does_not_wait_for_ever(tmp_path, place):
    broken = LocalBackend(
        tmp_path / "jobs", entry="unit.aggregator.jobs_entry:run", environment=lambda _: {}, slots=[Foreign()]
    )
    broken.create("j1", broken.render(JobRequest("j1", "vqa-1", {}, {})))
    found = broken.observe(["j1"])["j1"]
    assert (found.phase, found.exit_code) == ("Failed", 71)
    assert "cannot_start" in found.message
