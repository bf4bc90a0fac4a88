"""Exports: one Job of the client at a time for a model, followed to its end, in a run or after it, and no attempt."""

import json

import pytest
from pilot_aggregator.jobs.backend import JobState
from pilot_aggregator.jobs.local import LocalBackend
from pilot_aggregator.rounds.exports import Exports
from pilot_aggregator.rounds.personal_models import job_name
from pilot_proto.personal_model import ExportOrder, ExportView
from pilot_proto.problem import Problem
from unit.aggregator.service import API, app_over, call, service_in
from unit.aggregator.world import (
    MODEL,
    NOW,
    FakeBackend,
    accepted,
    adapter,
    base_slots,
    document,
    history,
    later,
    open_round,
    published_of,
)

PATH = "/runs/t/rounds/1/clients/vqa-1/export"
HANDED = {"connector/task/vqa": "t/task-vqa-connector", "text/client/vqa-1": "t/client-vqa-1-text"}
OTHERS = {"connector/task/caption": "t/task-caption-connector", "text/client/vqa-2": "t/client-vqa-2-text"}


@pytest.fixture
def service(tmp_path):
    """A run that has published round 1, without an update of cap-1, and waits for a person."""
    made = service_in(tmp_path)
    assert call(app_over(made), "operator", "POST", "/runs", json=document(advance="manual")).status_code == 201
    run = made.store.run("t")
    open_round(made.store, run, 0)
    made.store.adopt_publication(run.uid, 0, published_of(0, []), base_slots(), {}, MODEL, NOW)
    open_round(made.store, run, 1, history())
    slots = base_slots() | {slot: adapter(repo) for slot, repo in (HANDED | OTHERS).items()}
    states = {client: (accepted(1, "stage-1"),) for client in ("vqa-1", "vqa-2")}
    made.store.adopt_publication(run.uid, 1, published_of(1, slots.values()), slots, states, MODEL, NOW)
    return made


@pytest.fixture
def api(service):
    app = app_over(service)

    def request(method, path=PATH, who="operator", **options):
        return call(app, who, method, path, **options)

    return request


@pytest.fixture
def backend(service) -> FakeBackend:
    return service.exports._backend


@pytest.fixture
def registry(service):
    return service.registry


def order(api, **body) -> ExportView:
    response = api("POST", json=body)
    assert response.status_code == 202, response.text
    return ExportView.model_validate_json(response.content)


def seen(api, query="") -> ExportView:
    return ExportView.model_validate_json(api("GET", PATH + query).content)


def refused(response, status, code) -> str:
    assert response.status_code == status, response.text
    found = Problem.model_validate_json(response.content)
    assert found.code == code
    return f"{found.detail} {found.hint}"


def in_phase(service, phase):
    run = service.store.run("t")
    service.store.write_status(run, phase=phase, conditions=(), round=1, ended_at=NOW)


def events(service):
    return [e.type for e in service.store.events_after(service.store.run("t").uid, 0)]


@pytest.mark.usefixtures("each_database")
def test_an_order_is_answered_by_the_job_that_will_be_and_by_where_the_folder_will_be(api, service):
    response = api("POST", json={})
    view = ExportView.model_validate_json(response.content)
    assert (view.state, view.folder) == ("Intended", "exports/t-round-1-merged")
    assert (view.namespace, view.claim) == ("trainers", "state-vqa-1")
    assert view.path == "/state/exports/t-round-1-merged"
    assert response.headers["location"] == f"{API}{PATH}?point=merged&merge_lora=false"
    assert seen(api) == view
    service.exports.follow()
    assert list(service.exports._backend.jobs) == [view.job]


def test_the_job_is_the_clients_own_with_another_program_and_is_told_what_to_write(api, service, backend):
    view = order(api, point="local", merge_lora=True)
    service.exports.follow()
    job = backend.jobs[view.job]
    assert (job["client"], job["command"]) == ("vqa-1", ["python", "-m", "pilot_trainer.export"])
    told = job["environment"]
    assert (told["PILOT_RUN"], told["PILOT_ROUND"], told["PILOT_DATA_DIR"]) == ("t", "1", "/data/vqa-1")
    assert (told["PILOT_POINT"], told["PILOT_MERGE_LORA"]) == ("local", "1")
    assert told["PILOT_OUT"] == view.folder == "exports/t-round-1-local-folded"
    uid = service.store.run("t").uid
    assert job["labels"] == {"run": "t", "run-uid": uid, "client": "vqa-1", "round": "1", "export": "local"}


def test_the_client_is_handed_what_its_round_made_for_it_and_nothing_of_others(api, service, backend, registry):
    view = order(api)
    service.exports.follow()
    commits = {repo: adapter(repo).commit for repo in HANDED.values()}
    # Round 2 is stage 2, for which every task's connector is handed out.
    commits["t/task-caption-connector"] = adapter("t/task-caption-connector").commit
    assert json.loads(backend.jobs[view.job]["environment"]["PILOT_PUBLISHED"]) == commits
    assert set(registry.handed[1, "vqa-1"]) == set(commits.values())


def test_while_a_job_is_at_work_the_same_order_is_that_job_and_another_model_is_another(api, service):
    first = order(api)
    service.exports.follow()
    assert order(api).job == first.job
    assert order(api, point="local").job != first.job
    assert order(api, merge_lora=True).job != first.job


def test_after_its_end_another_job_looks_after_the_folder(api, service, backend):
    first = order(api)
    service.exports.follow()
    backend.end(first.job)
    service.exports.follow()
    assert seen(api).state == "Succeeded"
    second = order(api)
    assert (second.job[-3:], second.state, second.folder) == ("-x2", "Intended", first.folder)
    assert seen(api) == second


FOLLOWED = {
    "queued": (JobState("Queued", message="Suspended: waits"), "Queued", "Suspended", False),
    "pending": (JobState("Pending", message="Unschedulable: no node"), "Pending", "Unschedulable", False),
    "running": (JobState("Running", started_at=later(3)), "Running", "", False),
    "done": (JobState("Succeeded", 0, "", later(3), later(9)), "Succeeded", "", True),
    "failed": (
        JobState("Failed", 64, "bad_assignment: no state", later(3), later(9)),
        "Failed",
        "bad_assignment",
        True,
    ),
    "evicted": (JobState("Disrupted", None, "Eviction: drained"), "Disrupted", "Eviction", True),
    "deleted": (JobState("Cancelled", message="Deleted: by hand"), "Stopped", "Deleted", True),
}


@pytest.mark.parametrize(("state", "told", "reason", "ended"), FOLLOWED.values(), ids=FOLLOWED)
def test_a_job_is_followed_to_its_end_and_only_then_may_it_go(api, service, backend, state, told, reason, ended):
    view = order(api)
    service.exports.follow()
    backend.states[view.job] = state
    service.exports.follow()
    service.exports.follow()
    found = seen(api)
    assert (found.state, found.reason, found.message) == (told, reason, state.message)
    assert (found.ended_at is not None) == ended
    assert backend.settled == ([view.job] if ended else [])
    assert events(service).count(f"Export{told}") == int(ended)


def test_a_job_that_vanished_is_lost(api, service, backend):
    order(api)
    service.exports.follow()
    backend.states.clear()
    service.exports.follow()
    assert (seen(api).state, seen(api).reason) == ("Lost", "Lost")


def test_nobodys_round_counts_an_export(api, service, backend):
    view = order(api)
    service.exports.follow()
    backend.end(view.job, 70)
    service.exports.follow()
    uid = service.store.run("t").uid
    assert [service.store.attempts(uid, n) for n in (0, 1, 2)] == [[], [], []]
    assert service.store.active_attempt_states() == []


@pytest.mark.parametrize("away", ["registry", "backend"])
def test_what_cannot_be_done_now_is_done_when_somebody_looks_again(api, service, backend, registry, away):
    registry.away, backend.refuses = away == "registry", away == "backend"
    view = order(api)
    service.exports.follow()
    assert (seen(api).state, backend.jobs) == ("Intended", {})
    registry.away = backend.refuses = False
    service.exports.follow()
    assert list(backend.jobs) == [view.job]


def test_a_successor_goes_on_from_what_was_intended(api, service, backend, registry):
    view = order(api)
    successor = Exports(service.store, backend, registry, service.attempts, service.clock)
    successor.follow()
    successor.follow()
    assert list(backend.jobs) == [view.job]
    assert seen(api).state == "Running"


def test_a_run_that_has_ended_is_said_so_again_when_its_export_has(api, service, backend):
    in_phase(service, "Training")
    view = order(api)
    service.exports.follow()
    in_phase(service, "Failed")
    backend.end(view.job)
    service.exports.follow()
    assert backend.ended == {service.store.run("t").uid: False}


def test_while_its_run_goes_on_an_export_ends_nothing_of_it(api, service, backend):
    view = order(api)
    service.exports.follow()
    backend.end(view.job)
    service.exports.follow()
    assert backend.ended == {}


def test_a_name_that_something_else_has_is_told(api, service, backend):
    view = order(api)
    backend.jobs[view.job] = {"another": "job"}
    service.exports.follow()
    assert seen(api).state == "Failed"
    assert "a different job" in seen(api).message


def test_names_are_legal_and_differ_by_everything_that_differs():
    orders = [ExportOrder(point=p, merge_lora=f) for p in ("merged", "local") for f in (False, True)]
    names = {job_name("0" * 32, n, "c" * 40, o, s) for o in orders for n in (1, 1000) for s in (1, 2)}
    assert len(names) == 16
    assert all(len(name) <= 52 for name in names)


REFUSED = {
    "no such run": ("/runs/x/rounds/1/clients/vqa-1/export", 404, "not_found", "no run 'x'"),
    "no such round": ("/runs/t/rounds/2/clients/vqa-1/export", 404, "not_found", "has not opened round 2"),
    "no such client": ("/runs/t/rounds/1/clients/x/export", 404, "not_found", "'x' was not asked"),
    "never accepted": ("/runs/t/rounds/1/clients/cap-1/export", 409, "nothing_to_export", "nothing personal to export"),
    "trains nothing": ("/runs/t/rounds/0/clients/base/export", 409, "nothing_to_export", "trains nothing"),
}


@pytest.mark.parametrize(("path", "status", "code", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_exported_is_refused_with_the_reason(api, path, status, code, told):
    assert told in refused(api("POST", path, json={}), status, code)


def test_a_round_that_is_not_published_has_no_model_yet(api, service):
    open_round(service.store, service.store.run("t"), 2, history())
    path = PATH.replace("/1/", "/2/")
    assert "round 2 of run 't' is not published" in refused(api("POST", path, json={}), 409, "not_published")


def test_a_client_that_missed_the_round_has_a_merged_model_and_no_local_one(api, service):
    run = service.store.run("t")
    open_round(service.store, run, 2, history())
    slots, states = service.store.round(run.uid, 1).slots, run.accepted
    service.store.adopt_publication(run.uid, 2, published_of(2, []), slots, states, MODEL, NOW)
    path = PATH.replace("/1/", "/2/")
    assert "its last is of round 1" in refused(api("POST", path, json={"point": "local"}), 409, "nothing_to_export")
    assert api("POST", path, json={}).status_code == 202


def test_where_jobs_are_processes_of_this_machine_the_command_does_it(tmp_path, service):
    local = LocalBackend(tmp_path / "jobs", entry="none:none", environment=lambda client: {}, slots=[{}])
    object.__setattr__(
        service, "exports", Exports(service.store, local, service.registry, service.attempts, service.clock)
    )
    told = refused(call(app_over(service), "operator", "POST", PATH, json={}), 409, "export_refused")
    assert "use 'pilot export --out DIR' on this machine" in told


def test_an_export_that_nobody_ordered_is_not_there(api):
    assert "was not ordered" in refused(api("GET"), 404, "not_found")
    order(api)
    assert "was not ordered" in refused(api("GET", f"{PATH}?point=local"), 404, "not_found")


@pytest.mark.parametrize("body", [{"point": "best"}, {"merge_lora": "yes"}, {"out": "/tmp"}])
def test_an_order_is_read_strictly(api, body):
    refused(api("POST", json=body), 422, "invalid")


@pytest.mark.parametrize("who", ["viewer", "client:vqa-1", "aggregator"])
def test_only_operators_order_and_follow_exports(api, who):
    for method in ("POST", "GET"):
        refused(api(method, who=who, json={}), 403, "forbidden")
