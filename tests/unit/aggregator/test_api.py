"""The aggregator's API: its real application and store, driven without a network."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from itertools import product

import pytest
import yaml
from pilot_aggregator.policy import POLICY
from pilot_aggregator.rounds.gate import Measurement
from pilot_aggregator.store.records import AttemptChange
from pilot_aggregator.store.store import Store
from pilot_disk.database import connect
from pilot_http.app import HEALTH_POLICY
from pilot_http.auth import unlisted
from pilot_proto.assignment import AssignmentView
from pilot_proto.base import as_json
from pilot_proto.canonical import digest_of
from pilot_proto.grant import RoundView
from pilot_proto.plan import MergePlan, RoundDocument
from pilot_proto.problem import Problem
from pilot_proto.report import RunReport
from pilot_proto.run import Progress, RunPage, RunView
from pilot_proto.timeline import RoundTimeline
from pilot_proto.update import EvaluationResult
from unit.aggregator.service import API, KEYS, app_over, call, service_in
from unit.aggregator.world import (
    CLIENTS,
    MODEL,
    NOW,
    base_slots,
    document,
    history,
    later,
    open_round,
    published_of,
    said_of,
    sealed_of,
    update_of,
)


@pytest.fixture
def service(tmp_path):
    return service_in(tmp_path)


@pytest.fixture
def app(service):
    return app_over(service)


@pytest.fixture
def api(app):
    def request(method, path, who="operator", **options):
        return call(app, who, method, path, **options)

    return request


@pytest.fixture
def started(service, api, request):
    """A run whose round 1 is open, and has one attempt at work; `indirect` parameters add to its spec."""
    spec = getattr(request, "param", {})
    assert api("POST", "/runs", json=document(**spec)).status_code == 201
    run = service.store.run("t")
    open_round(service.store, run, 0)
    service.store.adopt_publication(run.uid, 0, published_of(0, []), base_slots(), {}, MODEL, NOW)
    open_round(service.store, run, 1, history())
    in_phase(service, "Training")
    service.attempts.launch(service.store.run("t"), 1, {"vqa-1": 1})
    return service.store.run("t")


def in_phase(service, phase, round=1):
    run = service.store.run("t")
    service.store.write_status(run, phase=phase, conditions=(), round=round, ended_at=None)


def problem(response, status, code):
    """The problem that a response carries."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate_json(response.content)
    assert (found.status, found.code) == (status, code)
    assert found.detail
    return found


# -- starting


@pytest.mark.usefixtures("each_database")
def test_a_run_is_created_with_its_place(api, service):
    response = api("POST", "/runs", json=document())
    assert response.status_code == 201
    assert response.headers["location"] == f"{API}/runs/t"
    view = RunView.model_validate_json(response.content)
    assert (view.status.phase, view.status.published, view.status.total_rounds) == ("Preparing", -1, 3)
    assert view.status.uid == service.store.run("t").uid
    assert api("GET", "/runs/t").json() == response.json()


def test_the_spec_is_stored_with_every_default_written_out(api):
    api("POST", "/runs", json=document(training={"learning_rate": {"stage-1": {"connector": 1e-3, "text": 1e-3}}}))
    spec = api("GET", "/runs/t/spec").json()
    assert spec["merge"]["text"] == {
        "rule": "nearest",
        "neighbours": 6,
        "metric": "euclidean",
        "combine": "convex",
        "weight_cap": 1.0,
    } | {key: value for key, value in spec["merge"]["text"].items() if value is None}
    assert spec["training"]["learning_rate"]["stage-1"]["connector"] == 1e-3
    assert spec["training"]["lora"]["r"] == 64


def test_a_small_number_in_json_is_a_number_although_yaml_would_read_text(api):
    rates = {"stage-1": {"connector": 2e-5, "text": 2e-5}}
    assert api("POST", "/runs", json=document(training={"learning_rate": rates})).status_code == 201


def test_a_run_may_be_sent_as_it_is_written(api):
    raw = yaml.safe_dump(document())
    assert api("POST", "/runs", content=raw).status_code == 201


def test_a_name_is_taken_for_ever(api):
    api("POST", "/runs", json=document())
    found = problem(api("POST", "/runs", json=document()), 409, "name_taken")
    assert "'t' exists" in found.detail


@pytest.mark.usefixtures("each_database")
def test_the_same_request_with_the_same_key_is_answered_again(api, service):
    key = {"Idempotency-Key": "k1"}
    first, again = (api("POST", "/runs", json=document(), headers=key) for _ in range(2))
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert len(service.store.runs(None, 10, None)) == 1


def test_a_key_stands_for_one_request_only(api, service):
    key = {"Idempotency-Key": "k1"}
    api("POST", "/runs", json=document(), headers=key)
    problem(api("POST", "/runs", json=document("other"), headers=key), 422, "idempotency_key_reused")
    assert service.store.run("other") is None


def test_a_key_may_be_used_again_after_a_day(api, service):
    key = {"Idempotency-Key": "k1"}
    api("POST", "/runs", json=document(), headers=key)
    service.clock.advance(24 * 3600 + 1)
    assert api("POST", "/runs", json=document("other"), headers=key).json()["metadata"]["name"] == "other"


def test_a_key_is_its_principals_own(api):
    key = {"Idempotency-Key": "k1"}
    api("POST", "/runs", json=document(), headers=key)
    assert api("POST", "/runs", who="admin", json=document("other"), headers=key).status_code == 201


def test_a_dry_run_starts_nothing_and_says_what_would_be(api, service):
    response = api("POST", "/runs?dry_run=true", json=document())
    assert response.status_code == 200
    assert "location" not in response.headers
    told = response.json()
    assert told["clients"] == sorted(CLIENTS)
    assert told["run"]["spec"]["training"]["lora"]["r"] == 64
    assert any("task 'caption' has one client" in line for line in told["warnings"])
    assert service.store.runs(None, 10, None) == []


def test_a_dry_run_tells_whose_job_would_be_refused(api, service):
    service.attempts._backend.refusals["vqa-1"] = "Forbidden: exceeded quota: gpus"
    told = api("POST", "/runs?dry_run=true", json=document()).json()
    assert "the job of 'vqa-1' would be refused: Forbidden: exceeded quota: gpus" in told["warnings"]


BAD_RUNS = {
    "an unknown key with its neighbour": (
        document(training={"effective_batchsize": 4}),
        "/spec/training/effective_batchsize",
        "effective_batch_size",
    ),
    "a wrong type": (document(training={"num_train_epochs": "two"}), "/spec/training/num_train_epochs", ""),
    "an unknown client": (document(clients=["vqa-9"]), "/spec/clients/0", "vqa-1"),
    "an unknown model": (document(model="large-2"), "/spec/model", "large"),
    "an unknown rule": (document(merge={"text": {"rule": "median"}}), "/spec/merge/text/rule", ""),
    "an option that a rule does not read": (
        document(merge={"connector": {"rule": "per-task-mean", "neighbours": 1}}),
        "/spec/merge/connector/rule",
        "",
    ),
    "a combination that cannot work": (document(rounds=["stage-2"]), "/spec/rounds/0", "stage-1"),
    "a name that is none": (document("Not A Name"), "/metadata/name", ""),
    "nobody": (document(clients=[]), "/spec/clients", "vqa-1"),
}


@pytest.mark.parametrize(("body", "pointer", "hint"), BAD_RUNS.values(), ids=BAD_RUNS)
def test_a_run_with_a_fault_is_refused_before_anything_starts(api, service, body, pointer, hint):
    for query in ("", "?dry_run=true"):
        found = problem(api("POST", f"/runs{query}", json=body), 422, "invalid")
        assert [e.pointer for e in found.errors] == [pointer]
        assert hint in found.errors[0].hint
    assert service.store.runs(None, 10, None) == []


@pytest.mark.parametrize("raw", [b"", b"[]", b"7", b"null", b'{"kind": "Run"}'])
def test_a_body_that_is_no_run_is_refused(api, raw):
    problem(api("POST", "/runs", content=raw), 422, "invalid")


@pytest.mark.parametrize("raw", [b"{", b"a: [", b"\x00\xff"])
def test_a_body_that_is_neither_json_nor_yaml_is_refused(api, raw):
    assert "neither JSON nor YAML" in problem(api("POST", "/runs", content=raw), 422, "invalid").detail


@pytest.mark.usefixtures("each_database")
def test_starting_from_a_published_round(api, service, started):
    response = api("POST", "/runs", json=document("u", start_from={"run": "t", "round": 0}))
    assert response.status_code == 201
    assert service.store.run("u").slots == base_slots()
    assert response.json()["status"]["published"] == 0


@pytest.mark.parametrize(
    ("spec", "status", "code"),
    [
        ({"start_from": {"run": "nobody", "round": 0}}, 404, "not_found"),
        ({"start_from": {"run": "t", "round": 1}}, 422, "not_published"),
        ({"start_from": {"run": "t", "round": 7}}, 422, "not_published"),
        ({"start_from": {"run": "t", "round": 0}, "model": "large"}, 422, "other_model"),
    ],
)
def test_starting_from_what_cannot_be_started_from(api, started, spec, status, code):
    problem(api("POST", "/runs", json=document("u", **spec)), status, code)


# -- lists


@pytest.mark.usefixtures("each_database")
def test_lists_are_paged_by_cursors(api, service):
    for number in range(5):
        service.clock.advance(1)
        api("POST", "/runs", json=document(f"r{number}"))
    names, cursor = [], None
    for _ in range(3):
        page = RunPage.model_validate_json(
            api("GET", "/runs", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).content
        )
        names += [item.metadata["name"] for item in page.items]
        cursor = page.next
    assert names == ["r4", "r3", "r2", "r1", "r0"]
    assert cursor is None


def test_a_list_that_fits_has_no_next_page(api):
    for number in range(2):
        api("POST", "/runs", json=document(f"r{number}"))
    assert api("GET", "/runs", params={"limit": 2}).json()["next"] is None


def test_an_unknown_phase_is_refused_with_those_there_are(api):
    found = problem(api("GET", "/runs?phase=Bogus"), 422, "invalid")
    (fault,) = found.errors
    assert fault.pointer == "/query/phase"
    assert "'Succeeded'" in fault.message


@pytest.mark.usefixtures("each_database")
def test_the_same_request_twice_at_one_moment_starts_one_run_and_has_one_answer(app, service, monkeypatch):
    """The first look finds nothing in either; the second to store finds what the first has stored."""
    meeting = threading.Barrier(2)
    remembered = service.store.remembered
    first_looks = iter([True, True])

    def look(principal, key):
        found = remembered(principal, key)
        if next(first_looks, False):
            meeting.wait(10)
        return found

    monkeypatch.setattr(service.store, "remembered", look)
    options = {"json": document("once"), "headers": {"Idempotency-Key": "k"}}
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(call, app, "operator", "POST", "/runs", **options) for _ in range(2)]
        answers = [future.result() for future in asked]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["status"]["uid"] == answers[1].json()["status"]["uid"]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]


@pytest.mark.usefixtures("each_database")
def test_a_list_is_chosen_by_phase(api, service, started):
    assert [r["metadata"]["name"] for r in api("GET", "/runs?phase=Training").json()["items"]] == ["t"]
    assert api("GET", "/runs?phase=Failed").json()["items"] == []


@pytest.mark.parametrize("query", ["cursor=nonsense", "cursor=W10", "limit=0", "limit=201", "limit=many"])
def test_a_page_that_cannot_be(api, query):
    problem(api("GET", f"/runs?{query}"), 422, "invalid")


# -- verbs


@pytest.mark.parametrize(("through", "stands"), [(2, 4), (4, 4), ("end", 4)], ids=["smaller", "the same", "to the end"])
def test_the_trigger_never_takes_back(api, started, through, stands):
    assert api("POST", "/runs/t/rounds", json={"through": through}).json()["status"]["through"] == stands


@pytest.mark.usefixtures("each_database")
def test_the_trigger_of_a_manual_run_is_a_maximum(api, service):
    api("POST", "/runs", json=document(advance="manual"))
    steps = [(1, 1), (3, 3), (2, 3), ("end", 4)]
    for through, stands in steps:
        response = api("POST", "/runs/t/rounds", json={"through": through})
        assert response.status_code == 202
        assert response.json()["status"]["through"] == stands


@pytest.mark.parametrize("body", [{"through": 5}, {"through": "start"}, {"through": 1.5}, {}, {"til": 1}])
def test_a_trigger_that_cannot_be(api, started, body):
    problem(api("POST", "/runs/t/rounds", json=body), 422, "invalid")


def test_pause_and_resume_are_wishes_that_the_loop_is_woken_for(api, service, started):
    assert api("POST", "/runs/t/pause").status_code == 202
    assert service.store.run("t").paused
    assert service.loop.bell.wait(0)
    assert api("POST", "/runs/t/resume").status_code == 202
    assert not service.store.run("t").paused


def test_cancel_is_stored_and_asking_again_is_no_fault(api, service, started):
    for _ in range(2):
        assert api("POST", "/runs/t/cancel").status_code == 202
    assert service.store.run("t").cancelling
    in_phase(service, "Cancelled")
    assert api("POST", "/runs/t/cancel").status_code == 202


VERBS = {
    "trigger": ("/runs/t/rounds", {"through": 1}),
    "pause": ("/runs/t/pause", None),
    "resume": ("/runs/t/resume", None),
    "cancel": ("/runs/t/cancel", None),
    "retry": ("/runs/t/rounds/1/clients/vqa-1/retry", None),
    "verdict": ("/runs/t/rounds/1/clients/vqa-1/verdict", {"verdict": "drop", "reason": "odd"}),
}


@pytest.mark.parametrize(("verb", "phase"), list(product(VERBS, ("Succeeded", "Failed"))))
def test_an_ended_run_obeys_no_verb(api, service, started, verb, phase):
    in_phase(service, phase)
    path, body = VERBS[verb]
    found = problem(api("POST", path, json=body), 409, "wrong_phase")
    assert "start_from" in found.detail


def test_a_verb_in_the_wrong_phase_says_when_it_is_possible(api, service, started):
    found = problem(api("POST", VERBS["verdict"][0], json=VERBS["verdict"][1]), 409, "wrong_phase")
    assert "possible in: Merging" in found.detail
    in_phase(service, "Merging")
    problem(api("POST", VERBS["retry"][0]), 409, "wrong_phase")


# -- a person's say in a round


def attempt_ends(service, state="Failed", **values):
    (attempt,) = service.store.attempts(service.store.run("t").uid, 1)
    service.store.change_attempts([AttemptChange(attempt, {"state": state, **values})], NOW)


@pytest.mark.usefixtures("each_database")
def test_a_client_that_failed_is_retried_with_a_fresh_budget(api, service, started):
    attempt_ends(service, exit_code=65)
    service.store.change_assignment(started.uid, 1, "vqa-1", failure="bad_data: none")
    assert api("POST", VERBS["retry"][0]).status_code == 202
    record = service.assignment(started, 1, "vqa-1")
    assert (record.budget_from, record.failure) == (1, "")


def test_an_attempt_at_work_is_not_retried(api, started):
    problem(api("POST", VERBS["retry"][0]), 409, "still_running")


def test_a_sealed_round_is_not_retried(api, service, started):
    attempt_ends(service)
    service.store.store_step(started.uid, 1, NOW, "RoundSealed", "", sealed=sealed_of({"vqa-2": "vqa"}))
    problem(api("POST", VERBS["retry"][0]), 409, "round_closed")


@pytest.mark.parametrize("path", ["/runs/t/rounds/1/clients/nobody/retry", "/runs/t/rounds/9/clients/vqa-1/retry"])
def test_a_retry_of_nobody(api, started, path):
    problem(api("POST", path), 404, "not_found")


HOLD = {"admission": {"on_flag": "hold", "max_norm_ratio": 2.0}}


def flag_vqa_1(service, run):
    """Round 1 is sealed, and vqa-1 moved ten times as far as the others."""
    clients = tuple(sorted(CLIENTS))
    norms = tuple(10.0 if client == "vqa-1" else 1.0 for client in clients)
    service.store.store_step(run.uid, 1, NOW, "RoundSealed", "", sealed=sealed_of(CLIENTS))
    measured = {"text": Measurement("euclidean", clients, (), norms, {"vqa-1": 1.0, "vqa-2": 1.0})}
    service.store.store_step(run.uid, 1, NOW, "RoundMeasured", "", measured=measured, updates={})
    in_phase(service, "Merging")


@pytest.mark.parametrize("started", [{}], indirect=True)
def test_a_verdict_where_nothing_is_held_says_so(api, service, started):
    flag_vqa_1(service, started)
    problem(api("POST", VERBS["verdict"][0], json=VERBS["verdict"][1]), 409, "not_held")


@pytest.mark.parametrize("started", [HOLD], indirect=True)
def test_a_verdict_on_an_update_that_was_not_flagged_says_so(api, service, started):
    flag_vqa_1(service, started)
    path = VERBS["verdict"][0].replace("vqa-1", "vqa-2")
    problem(api("POST", path, json=VERBS["verdict"][1]), 409, "not_held")


def test_a_retry_of_a_client_that_has_answered_says_so(api, service, started):
    attempt_ends(service)
    admitted = RoundView(admitted=sealed_of({"vqa-1": "vqa"}).updates)
    service.reconciler.views[started.uid, 1] = admitted
    problem(api("POST", VERBS["retry"][0]), 409, "already_answered")


@pytest.mark.parametrize("started", [HOLD], indirect=True)
@pytest.mark.usefixtures("each_database")
def test_a_verdict_is_recorded_with_its_reason(api, service, started):
    flag_vqa_1(service, started)
    assert api("POST", VERBS["verdict"][0], json=VERBS["verdict"][1]).status_code == 202
    record = service.assignment(started, 1, "vqa-1")
    assert (record.verdict, record.verdict_reason) == ("drop", "odd")
    last = service.store.events_after(started.uid, 0)[-1]
    assert (last.type, last.client, last.message) == ("VerdictGiven", "vqa-1", "drop, by operator: odd")
    given = {"client": "vqa-1", "verdict": "drop", "reason": "odd", "by": "operator", "at": NOW.isoformat()}
    (told,) = api("GET", "/runs/t/rounds/1", who="viewer").json()["verdicts"]
    assert told | {"at": NOW.isoformat()} == given
    assert datetime.fromisoformat(told["at"]) == NOW


@pytest.mark.parametrize("started", [HOLD], indirect=True)
def test_what_the_gate_looked_at_is_told_to_operators_before_the_plan(api, service, started):
    assert RoundDocument.model_validate_json(api("GET", "/runs/t/rounds/1").content).gate == ()
    flag_vqa_1(service, started)
    norms, apart = RoundDocument.model_validate_json(api("GET", "/runs/t/rounds/1").content).gate
    assert (norms.kind, norms.mark, norms.median, norms.limit) == ("text", "norm_outlier", 1.0, 2.0)
    assert (norms.values, norms.flagged) == ({"cap-1": 1.0, "vqa-1": 10.0, "vqa-2": 1.0}, ("vqa-1",))
    # Two clients of one task are no crowd, and cap-1 has no other of its task.
    assert (apart.mark, apart.values, apart.limit) == ("suspicious", {"vqa-1": 1.0, "vqa-2": 1.0}, None)
    assert api("GET", "/runs/t/rounds/1", who="viewer").json()["gate"] == []


def test_a_round_is_told_without_its_plan_to_who_asks_so(api, service, started):
    plan = MergePlan(run="t", round=1, program="stage-1")
    service.store.store_step(started.uid, 1, NOW, "RoundPlanned", "", plan=plan)
    whole, brief = (api("GET", f"/runs/t/rounds/1{query}").json() for query in ("", "?plan=false"))
    assert whole["plan"]["round"] == 1
    assert brief == whole | {"plan": None}
    assert brief["state"] == "Planned"


@pytest.mark.usefixtures("each_database")
def test_a_round_tells_its_times(api, service, started):
    timings = [{"stage": "training", "seconds": 40.5}]
    service.clock.advance(60)
    report = {"commit": "0" * 40, "timings": timings}
    assert as_client(api, "POST", "report", json=report).status_code == 204
    found = RoundTimeline.model_validate_json(api("GET", "/runs/t/rounds/1/timeline", who="viewer").content)
    assert (found.round, found.program, found.opened_at, found.sealed_at) == (1, "stage-1", NOW, None)
    (attempt,) = {client.client: client.attempts for client in found.clients}["vqa-1"]
    assert (attempt.stages[0].seconds, attempt.reported_at) == (40.5, later(60))
    problem(api("GET", "/runs/t/rounds/9/timeline"), 404, "not_found")


BAD_TIMINGS = {
    "a negative time": [{"stage": "training", "seconds": -1}],
    "no number": [{"stage": "training", "seconds": "long"}],
    "no name": [{"stage": "", "seconds": 1}],
    "a name without end": [{"stage": "x" * 41, "seconds": 1}],
    "too many": [{"stage": "training", "seconds": 1}] * 51,
}


@pytest.mark.parametrize("timings", BAD_TIMINGS.values(), ids=BAD_TIMINGS)
def test_timings_that_cannot_be(api, service, started, timings):
    problem(as_client(api, "POST", "report", json={"commit": "0" * 40, "timings": timings}), 422, "invalid")
    assert service.store.times.told(started.uid, 1) == {}


@pytest.mark.parametrize(
    "body",
    [
        {"verdict": "keep", "reason": "x"},
        {"verdict": "drop"},
        {"verdict": "drop", "reason": ""},
        {"verdict": "drop", "reason": "x", "y": 1},
    ],
)
def test_a_verdict_that_cannot_be(api, service, started, body):
    in_phase(service, "Merging")
    problem(api("POST", VERBS["verdict"][0], json=body), 422, "invalid")


def test_a_verdict_after_the_plan_comes_too_late(api, service, started):
    in_phase(service, "Merging")
    plan = MergePlan(run="t", round=1, program="stage-1")
    service.store.store_step(started.uid, 1, NOW, "RoundPlanned", "", plan=plan)
    problem(api("POST", VERBS["verdict"][0], json=VERBS["verdict"][1]), 409, "already_planned")


def test_logs_are_those_of_the_newest_attempt(api, service, started):
    attempt_ends(service)
    service.attempts.launch(started, 1, {"vqa-1": 2})
    response = api("GET", "/runs/t/rounds/1/clients/vqa-1/logs")
    assert response.text.startswith("log of pilot-")
    assert response.text.strip().endswith("-a2")
    problem(api("GET", "/runs/t/rounds/1/clients/vqa-2/logs"), 404, "not_found")


# -- reading


@pytest.mark.usefixtures("each_database")
def test_a_run_shows_its_clients_with_their_progress(api, service, started):
    service.reconciler.views[started.uid, 1] = RoundView(admitted=(update_of("cap-1", "caption"),))
    service.attempts.follow(service.store.attempts(started.uid, 1))
    service.board[started.uid, 1, "vqa-1"] = (Progress(step=3, total_steps=9, loss=1.5), NOW)
    clients = {c["name"]: c for c in api("GET", "/runs/t").json()["status"]["clients"]}
    assert {name: c["state"] for name, c in clients.items()} == {
        "cap-1": "Answered",
        "vqa-1": "Running",
        "vqa-2": "Waiting",
    }
    assert clients["vqa-1"]["progress"]["step"] == 3


def test_rounds_are_listed_with_their_states(api, started):
    assert [(r["round"], r["program"], r["state"]) for r in api("GET", "/runs/t/rounds").json()["items"]] == [
        (0, "prepare", "Published"),
        (1, "stage-1", "Assigned"),
    ]
    assert api("GET", "/runs/t/rounds/1").json()["state"] == "Assigned"


def test_a_report_is_given_at_any_time(api, started):
    found = RunReport.model_validate_json(api("GET", "/runs/t/report").content)
    assert [c.client for c in found.clients] == sorted(CLIENTS)
    assert set(found.published) == {"t/base-text", "t/base-connector"}


def test_a_report_tells_of_updates_as_soon_as_they_are_read(api, service, started):
    def before():
        found = RunReport.model_validate_json(api("GET", "/runs/t/report").content)
        return {client.client: client.before for client in found.clients}

    assert before() == dict.fromkeys(CLIENTS)
    service.store.store_step(started.uid, 1, NOW, "RoundSealed", "", sealed=sealed_of(CLIENTS))
    result = EvaluationResult(
        point="merged", round=0, split="test", metric="exact-match", value=0.5, samples=2, scores=(0, 1)
    )
    told = said_of("vqa-1", "vqa", evaluations=(result,))
    service.store.store_step(started.uid, 1, NOW, "RoundMeasured", "", measured={}, updates={"vqa-1": told})
    for _ in range(2):
        assert before() == dict.fromkeys(CLIENTS) | {"vqa-1": 0.5}
    scores = RunReport.model_validate_json(api("GET", "/runs/t/report?scores=true").content).clients
    assert [client.scores for client in scores if client.before is not None] == [{"before": (0, 1)}]


def test_the_federation_is_shown(api):
    assert {c["name"] for c in api("GET", "/federation").json()["spec"]["clients"]} == set(CLIENTS)


@pytest.mark.parametrize(
    "path",
    [
        "/runs/nobody",
        "/runs/nobody/spec",
        "/runs/nobody/rounds",
        "/runs/nobody/events",
        "/runs/nobody/report",
        "/runs/t/rounds/9",
        "//nowhere",
        "/nowhere",
    ],
)
def test_what_is_not_there_is_a_problem(api, started, path):
    problem(api("GET", path), 404, "not_found")


def test_an_unknown_run_is_answered_with_some_that_exist(api, started):
    assert "t" in problem(api("GET", "/runs/nobody"), 404, "not_found").hint


def test_a_method_that_a_path_does_not_know(api):
    assert problem(api("DELETE", "/runs"), 405, "method_not_allowed").instance == f"{API}/runs"


def test_what_nobody_expected_is_a_problem_without_details(api, service):
    broken = replace(service, federation=None)
    found = problem(call(app_over(broken), "operator", "POST", "/runs", json=document()), 500, "internal")
    assert "NoneType" not in found.detail


# -- as a client


CLIENT_PATH = "/runs/t/rounds/1/clients/vqa-1"


def as_client(api, method, what, client="client:vqa-1", **options):
    return api(method, f"{CLIENT_PATH}/{what}", who=client, **options)


def test_a_client_fetches_the_bytes_that_its_digest_names(api, service, started):
    raw = as_client(api, "GET", "assignment")
    view = AssignmentView.model_validate_json(raw.content)
    record = service.assignment(started, 1, "vqa-1")
    assert (view.uid, view.digest) == (started.uid, record.digest)
    assert view.digest == digest_of(record.body)
    assert json.loads(record.body) == as_json(view.assignment)


def test_who_was_not_asked_has_no_assignment(api, started):
    problem(api("GET", "/runs/t/rounds/0/clients/vqa-1/assignment", who="client:vqa-1"), 404, "not_found")


def test_progress_is_kept_with_the_moment_it_came(api, service, started):
    service.clock.advance(5)
    assert as_client(api, "POST", "progress", json={"step": 4, "total_steps": 9}).status_code == 204
    told, at = service.board[started.uid, 1, "vqa-1"]
    assert (told.step, at) == (4, later(5))


def test_progress_in_a_round_that_is_not_open_is_refused(api, service, started):
    response = api("POST", "/runs/t/rounds/77/clients/vqa-1/progress", who="client:vqa-1", json={"step": 1})
    problem(response, 404, "not_found")
    assert service.board == {}


def test_a_report_wakes_the_loop(api, service, started):
    service.loop.bell.clear()
    assert as_client(api, "POST", "report", json={"commit": "0" * 40}).status_code == 204
    assert service.loop.bell.wait(0)


@pytest.mark.usefixtures("each_database")
def test_a_failure_is_recorded_with_its_reason(api, service, started):
    body = {"code": "bad_data", "message": "record 7 has no image"}
    assert as_client(api, "POST", "failure", json=body).status_code == 204
    assert service.assignment(started, 1, "vqa-1").failure == "bad_data: record 7 has no image"
    last = service.store.events_after(started.uid, 0)[-1]
    assert (last.type, last.client, last.message) == ("ClientFailed", "vqa-1", "bad_data: record 7 has no image")


@pytest.mark.usefixtures("each_database")
def test_a_failure_told_with_a_character_that_a_database_cannot_store_is_recorded_all_the_same(api, service, started):
    body = {"code": "bad_data", "message": "record \0 has no image"}
    assert as_client(api, "POST", "failure", json=body).status_code == 204
    assert service.assignment(started, 1, "vqa-1").failure == "bad_data: record \N{SYMBOL FOR NULL} has no image"


# -- roles


REACHES = {
    "viewer": {"viewer", "operator", "admin"},
    "operator": {"operator", "admin"},
    "client": {"client:vqa-1"},
}


def matrix():
    for (method, template), allowed in sorted(POLICY.items()):
        for who in KEYS:
            may = any(who in REACHES[access] for access in allowed)
            yield pytest.param(method, template, who, may, id=f"{who} {method} {template.removeprefix(API)}")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """Nothing changes here: every request that is let through is refused for its contents."""
    return app_over(service_in(tmp_path_factory.mktemp("guarded")))


@pytest.mark.parametrize(("method", "template", "who", "may"), list(matrix()))
def test_every_role_on_every_route(guarded, method, template, who, may):
    path = template.removeprefix(API).format(run="no-run", n=1, client="vqa-1")
    response = call(guarded, who, method, path)
    assert (response.status_code != 403) is may
    assert response.status_code != 401
    if not may:
        problem(response, 403, "forbidden")


TRAINERS = {("GET", "assignment"), ("POST", "progress"), ("POST", "report"), ("POST", "failure")}


@pytest.mark.parametrize(("method", "template"), sorted(POLICY))
def test_viewers_look_operators_change_and_a_trainer_has_four_routes_of_its_own(method, template):
    """Written apart from the table, so that giving a route away is two decisions."""
    verb = template.rpartition("/")[2]
    if (method, verb) in TRAINERS and "/clients/{client}/" in template:
        expected = "client"
    elif method == "POST" or verb in ("logs", "updates", "export"):
        expected = "operator"
    else:
        expected = "viewer"
    assert POLICY[method, template] == {expected}


@pytest.mark.parametrize(("method", "template"), sorted(POLICY))
def test_nobody_gets_in_without_a_key(guarded, method, template):
    path = template.removeprefix(API).format(run="no-run", n=1, client="vqa-1")
    response = call(guarded, "a key of nobody", method, path)
    problem(response, 401, "unauthenticated")
    assert "www-authenticate" in response.headers


def test_no_route_is_missing_from_the_table(guarded):
    assert unlisted(guarded, guarded.state.policy) == set()


def test_the_table_has_no_route_that_does_not_exist(guarded):
    there = unlisted(guarded, {})
    assert set(POLICY) | set(HEALTH_POLICY) == there


@pytest.mark.parametrize("path", ["//livez", "//readyz", "//metrics", "/version"])
def test_health_needs_no_key(guarded, path):
    assert call(guarded, "nobody", "GET", path).status_code == 200


def test_a_host_that_is_not_ours_is_refused(guarded):
    assert call(guarded, "viewer", "GET", "/runs", headers={"Host": "evil"}).status_code == 400


# -- events


def read_events(app, last=None, until=None):
    """The stream as (id, type, data), until it ends or an event of the type `until` came."""
    headers = {"Authorization": "Bearer viewer"} | ({"Last-Event-ID": str(last)} if last is not None else {})
    received = []

    async def drive():
        sent = asyncio.Event()

        async def receive():
            if not received and not sent.is_set():
                sent.set()
                return {"type": "http.request", "body": b"", "more_body": False}
            await done.wait()
            return {"type": "http.disconnect"}

        done = asyncio.Event()
        text = ""

        async def send(message):
            nonlocal text
            if message["type"] == "http.response.start":
                assert message["status"] == 200
            text += message.get("body", b"").decode()
            received[:] = parsed(text)
            if not message.get("more_body", True) or any(kind == until for _, kind, _ in received):
                done.set()

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": f"{API}/runs/t/events",
            "raw_path": f"{API}/runs/t/events".encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"aggregator")]
            + [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("aggregator", 80),
        }
        await asyncio.wait_for(app(scope, receive, send), 20)

    asyncio.run(drive())
    return received


def parsed(text):
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((int(fields.get("id", 0)), fields["event"], json.loads(fields["data"])))
    return found


def test_an_ended_run_tells_all_its_events_and_closes_the_stream(app, service, started):
    in_phase(service, "Cancelled")
    found = read_events(app)
    assert [kind for _, kind, _ in found] == [
        "RunCreated",
        "RoundOpened",
        "RoundPublished",
        "RoundOpened",
        "AttemptIntended",
    ]
    assert [number for number, _, _ in found] == sorted(number for number, _, _ in found)
    assert found[-1][2]["client"] == "vqa-1"


@pytest.mark.usefixtures("each_database")
def test_a_stream_resumes_after_the_last_event_that_was_seen(app, service, started):
    in_phase(service, "Cancelled")
    whole = read_events(app)
    for seen in range(len(whole) + 1):
        last = whole[seen - 1][0] if seen else 0
        assert read_events(app, last) == whole[seen:]


def test_progress_is_told_without_an_id_to_resume_from(app, service, started):
    service.board[started.uid, 1, "vqa-1"] = (Progress(step=2, loss=0.5), NOW)
    number, _, told = read_events(app, until="Progress")[-1]
    assert number == 0
    assert told["client"] == "vqa-1"
    assert told["progress"]["step"] == 2


def test_a_position_that_is_none_is_refused(api, started):
    problem(api("GET", "/runs/t/events", headers={"Last-Event-ID": "soon"}), 422, "invalid")


# -- health


def test_metrics_count_runs_and_attempts(api, started):
    text = api("GET", "//metrics").text
    assert "pilot_aggregator_leads 1.0" in text
    assert 'pilot_runs{phase="Training"} 1.0' in text
    assert 'pilot_runs{phase="Failed"} 0.0' in text
    assert 'pilot_attempts_active{state="Intended"} 1.0' in text


def test_metrics_name_routes_by_their_template_and_no_client(api, started):
    as_client(api, "POST", "progress", json={"step": 1})
    api("GET", "/nowhere/at/all")
    text = api("GET", "//metrics").text
    assert 'route="/api/v1alpha1/runs/{run}/rounds/{n}/clients/{client}/progress",status="204"' in text
    assert 'route="unmatched"' in text
    assert "vqa-1" not in text
    assert "nowhere" not in text


def test_a_service_without_its_database_is_alive_but_not_ready(tmp_path, api, service):
    assert api("GET", "//readyz").json() == {"status": "ready"}
    away = replace(service, store=Store(connect(f"sqlite:///{tmp_path}/no-folder/x.sqlite")))
    app = app_over(away)
    assert call(app, "nobody", "GET", "//livez").status_code == 200
    assert "unable to open" in problem(call(app, "nobody", "GET", "//readyz"), 503, "unavailable").detail


def test_who_stands_by_is_ready_answers_questions_and_sends_writers_to_another_connection(service, started):
    app = app_over(replace(service, store=Store(service.store._engine, fenced=True)))
    assert call(app, "nobody", "GET", "//readyz").json() == {"status": "ready"}
    assert "pilot_aggregator_leads 0.0" in call(app, "nobody", "GET", "//metrics").text
    assert call(app, "viewer", "GET", "/runs/t").json()["metadata"]["name"] == "t"
    answer = call(app, "operator", "POST", "/runs/t/pause")
    assert "another aggregator leads; this one stands by" in problem(answer, 503, "unavailable").detail
    assert answer.headers["connection"] == "close"


def test_a_request_keeps_the_identity_that_it_came_with(api):
    assert api("GET", "/runs", headers={"X-Request-Id": "mine"}).headers["x-request-id"] == "mine"
    assert len(api("GET", "/runs").headers["x-request-id"]) == 32
