"""The Kubernetes backend against an API server that answers, refuses, forgets and hangs up over real HTTP."""

import time

import pytest
from fakes.kube_api import NAMESPACE, Fault, KubeApi
from pilot_aggregator.jobs.backend import JobConflict, JobRejected, JobRequest
from pilot_aggregator.jobs.kubernetes.backend import KubernetesBackend
from pilot_aggregator.jobs.kubernetes.labels import ENDED, FENCE, SPEC_HASH, anchor_name
from pilot_aggregator.jobs.kubernetes.templates import JobTemplates

LIMIT_S = 20
UID = "0123456789abcdef0123456789abcdef"
NAME = "pilot-01234567-r1-vqa-1-a1"
ANCHOR = anchor_name(UID)
TEMPLATE = {"spec": {"template": {"spec": {"containers": [{"name": "trainer", "image": "t:1"}]}}}}
TEMPLATES = JobTemplates.model_validate(
    {
        "apiVersion": "pilot/v1alpha1",
        "kind": "JobTemplates",
        "metadata": {"name": "pilot"},
        "spec": {"namespace": NAMESPACE, "templates": {"base": TEMPLATE, "vqa-1": TEMPLATE}},
    }
)


@pytest.fixture
def api():
    made = KubeApi()
    yield made
    made.close()


@pytest.fixture
def backend(api, tmp_path):
    made = backend_on(api, tmp_path)
    yield made
    made.close()


def backend_on(api, folder, **options):
    return KubernetesBackend(TEMPLATES, kubeconfig=api.kubeconfig(folder), **options)


def job(backend, name=NAME, told="1", uid=UID):
    labels = {"run": "t", "run-uid": uid, "round": "1", "client": "vqa-1", "attempt": "1"}
    return backend.render(JobRequest(name, "vqa-1", {"PILOT_ROUND": told}, labels))


def create(backend, **different):
    backend.create(NAME, job(backend, **different))


def state(backend):
    return backend.observe([NAME]).get(NAME)


def eventually(look):
    deadline = time.monotonic() + LIMIT_S
    while not (found := look()):
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.005)
    return found


def until(backend, phase):
    return eventually(lambda: (found := state(backend)) and found.phase == phase and found)


def finish(api, kind="Complete"):
    condition = {"type": kind, "status": "True", "lastTransitionTime": "2026-03-01T12:00:00Z"}
    api.change("jobs", NAME, status={"conditions": [condition]})


def pod(**status):
    labels = {"batch.kubernetes.io/job-name": NAME, "pilot.federated/run-uid": UID}
    return {"metadata": {"name": f"{NAME}-0-x", "labels": labels}, "spec": {"containers": []}, "status": status}


def running(api):
    at_work = {"name": "trainer", "state": {"running": {"startedAt": "2026-03-01T12:00:00Z"}}}
    api.put("pods", pod(phase="Running", containerStatuses=[at_work]))


def all_lists(api):
    return sum(api.asked("GET", kind) for kind in ("jobs", "pods", "events"))


def refusing(status, reason, message, plural="jobs"):
    return lambda kind, thing: (status, reason, message) if kind == plural else None


def test_a_job_is_made_as_it_was_rendered_and_owned_by_its_runs_anchor(api, backend):
    create(backend)
    made, anchor = api.objects["jobs"][NAME], api.objects["configmaps"][ANCHOR]
    assert made["spec"] == job(backend)["spec"]
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("ConfigMap", anchor["metadata"]["uid"])
    assert owner["blockOwnerDeletion"] is False
    assert anchor["metadata"]["labels"]["pilot.federated/run"] == "t"


def test_a_job_bears_the_fence_of_who_made_it_and_its_hash_does_not(api, tmp_path, backend):
    successor = backend_on(api, tmp_path, fence=lambda: 7)
    create(successor)
    successor.close()
    notes = api.objects["jobs"][NAME]["metadata"]["annotations"]
    assert notes == {FENCE: "7", SPEC_HASH: job(backend)["metadata"]["annotations"][SPEC_HASH]}


def test_making_the_same_job_again_adopts_it(api, backend, tmp_path):
    create(backend)
    create(backend)
    successor = backend_on(api, tmp_path)
    create(successor)
    assert state(successor).phase == "Pending"
    successor.close()
    assert len(api.objects["jobs"]) == 1


def test_another_job_of_the_same_name_is_a_conflict(api, backend):
    create(backend)
    with pytest.raises(JobConflict, match="not the one that was stored"):
        create(backend, told="2")
    with pytest.raises(JobConflict, match="not of this run"):
        create(backend, uid="f" * 32)


def test_a_job_that_is_being_deleted_is_waited_for(api, backend):
    create(backend)
    metadata = api.objects["jobs"][NAME]["metadata"]
    api.change("jobs", NAME, metadata={**metadata, "deletionTimestamp": "2026-03-01T12:00:00Z"})
    with pytest.raises(OSError, match="is being deleted"):
        create(backend)


@pytest.mark.parametrize("carried_out", [False, True], ids=["lost on the way", "carried out, its answer lost"])
def test_a_creation_whose_answer_is_lost_is_done_again_to_the_same_end(api, backend, carried_out):
    api.faults.append(Fault("POST", "jobs", carried_out=carried_out))
    with pytest.raises(OSError, match="POST"):
        create(backend)
    create(backend)
    assert state(backend).phase == "Pending"
    assert len(api.objects["jobs"]) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_cannot_now_is_asked_again(api, backend, status):
    api.faults.append(Fault("POST", "jobs", status, headers={"Retry-After": "0"}))
    with pytest.raises(OSError, match=f"answered {status}: as asked"):
        create(backend)
    create(backend)


REFUSALS = {
    "quota": (403, "Forbidden", "exceeded quota: gpus"),
    "invalid": (422, "Invalid", "spec.template: Required value"),
    "a webhook": (400, "BadRequest", 'admission webhook "no.example" denied the request'),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_job_that_the_server_refuses_is_rejected_in_its_words(api, backend, refusal):
    api.refuse = refusing(*refusal)
    with pytest.raises(JobRejected, match=refusal[2].split()[0]):
        create(backend)
    assert api.asked("POST", "jobs") == 1


def test_a_client_without_a_template_is_rejected_by_name(backend):
    with pytest.raises(JobRejected, match="no Job template for 'cap-1', only for base, vqa-1"):
        backend.render(JobRequest(NAME, "cap-1", {}))


def test_trying_a_job_out_makes_nothing(api, backend):
    assert backend.try_out(NAME, job(backend)) == ""
    assert api.objects.get("jobs", {}) == api.objects.get("pods", {}) == {}
    assert [query.get("dryRun") for method, _, query in api.requests if method == "POST"] == ["All", "All"]


@pytest.mark.parametrize("plural", ["jobs", "pods"])
def test_trying_a_job_out_tells_why_it_or_its_pod_would_be_refused(api, backend, plural):
    api.refuse = refusing(403, "Forbidden", "error looking up service account", plural)
    assert backend.try_out(NAME, job(backend)) == "Forbidden: error looking up service account"


def test_an_aggregator_that_may_not_ask_about_pods_does_without(api, backend):
    told = 'pods is forbidden: User "a" cannot create resource "pods" in API group ""'
    api.refuse = refusing(403, "Forbidden", told, "pods")
    assert backend.try_out(NAME, job(backend)) == ""


def test_a_jobs_life_is_followed_without_asking(api, backend):
    create(backend)
    until(backend, "Pending")
    running(api)
    assert until(backend, "Running").started_at is not None
    asked = api.asked("GET", "jobs") + api.asked("GET", "pods")
    finish(api)
    assert until(backend, "Succeeded").exit_code == 0
    assert api.asked("GET", "jobs") + api.asked("GET", "pods") == asked


def test_a_backend_that_begins_later_sees_what_is_there(api, backend, tmp_path):
    create(backend)
    running(api)
    successor = backend_on(api, tmp_path)
    assert state(successor).phase == "Running"
    successor.close()


def test_a_warning_about_a_job_without_a_pod_is_its_reason(api, backend):
    create(backend)
    about = {"kind": "Job", "name": NAME}
    warning = {"involvedObject": about, "reason": "FailedCreate", "message": "exceeded quota: gpus", "type": "Warning"}
    api.put("events", {"metadata": {"name": "e1"}, "lastTimestamp": "2026-03-01T12:00:00Z", **warning})
    assert eventually(lambda: state(backend).message).startswith("FailedCreate: exceeded quota: gpus. Next: raise")


def test_a_job_that_is_gone_is_not_there(api, backend):
    create(backend)
    until(backend, "Pending")
    api.remove("jobs", NAME)
    eventually(lambda: state(backend) is None)


def test_a_job_that_the_streams_have_not_brought_is_asked_for_before_it_is_given_up(api, backend):
    create(backend)
    state(backend)
    backend.mirror.jobs.replace([])
    assert state(backend).phase == "Pending"


@pytest.mark.parametrize("forgotten", ["status", "event"])
def test_a_watch_whose_version_is_forgotten_is_made_good_by_a_list(api, backend, forgotten):
    create(backend)
    until(backend, "Pending")
    if forgotten == "event":
        api.error_events.append({"code": 410, "message": "too old"})
    else:
        api.forget()
    lists = all_lists(api)
    api.drop_watches()
    eventually(lambda: all_lists(api) > lists)
    finish(api)
    until(backend, "Succeeded")


def test_streams_that_are_dropped_miss_nothing(api, backend):
    create(backend)
    for _ in range(3):
        api.drop_watches()
    finish(api)
    until(backend, "Succeeded")


def test_an_object_that_cannot_be_read_harms_no_other(api, backend):
    create(backend)
    until(backend, "Pending")
    api.put("jobs", {"metadata": {"name": "other", "labels": None}, "spec": None, "status": 1})
    finish(api)
    until(backend, "Succeeded")


def test_an_object_of_a_list_that_cannot_be_read_harms_no_other(api, backend, tmp_path):
    create(backend)
    api.put("jobs", {"metadata": {"name": "other"}, "spec": None})
    successor = backend_on(api, tmp_path)
    assert state(successor).phase == "Pending"
    successor.close()


def test_who_cannot_be_asked_is_unknown_and_not_lost(api, backend, monkeypatch):
    monkeypatch.setattr("pilot_aggregator.jobs.kubernetes.mirror.SILENCE_S", 0.0)
    create(backend)
    until(backend, "Pending")
    backend.check()
    api.faults += [Fault("GET", "jobs?watch", 500) for _ in range(2)]
    api.drop_watches()
    told = until(backend, "Unknown").message
    assert told.startswith("NoContact: the Kubernetes API is silent since")
    until(backend, "Pending")


def test_deleting_takes_this_very_job_and_what_it_runs(api, backend):
    create(backend)
    backend.delete(NAME)
    backend.delete(NAME)
    assert NAME not in api.objects["jobs"]
    api.put("jobs", {"metadata": {"name": NAME, "labels": {}}, "spec": {}})
    backend.delete(NAME)
    assert NAME in api.objects["jobs"]


def test_only_a_job_whose_outcome_is_stored_gets_a_time_to_live(api, tmp_path):
    backend = backend_on(api, tmp_path, ttl_s=60)
    create(backend)
    finish(api)
    until(backend, "Succeeded")
    assert "ttlSecondsAfterFinished" not in api.objects["jobs"][NAME]["spec"]
    backend.settle(NAME)
    eventually(lambda: api.objects["jobs"][NAME]["spec"].get("ttlSecondsAfterFinished") == 60)
    backend.close()


def test_cancelling_deletes_what_owns_the_jobs(api, backend):
    create(backend)
    backend.end_run(UID, cancelled=True)
    assert ANCHOR not in api.objects["configmaps"]
    backend.end_run(UID, cancelled=True)


def test_the_anchor_of_a_run_that_has_ended_goes_when_its_jobs_have(api, backend):
    create(backend)
    until(backend, "Pending")
    backend.end_run(UID, cancelled=False)
    finish(api)
    until(backend, "Succeeded")
    backend.sweep()
    assert ANCHOR in api.objects["configmaps"]
    assert api.objects["jobs"][NAME]["spec"]["ttlSecondsAfterFinished"] == 3600
    api.remove("jobs", NAME)
    eventually(lambda: state(backend) is None)
    backend.sweep()
    assert ANCHOR not in api.objects["configmaps"]


def test_an_export_after_the_end_has_an_anchor_again_which_goes_like_the_first(api, backend):
    create(backend)
    backend.end_run(UID, cancelled=False)
    api.remove("jobs", NAME)
    eventually(lambda: state(backend) is None)
    backend.sweep()
    for _ in range(2):
        create(backend)
        owner = api.objects["jobs"][NAME]["metadata"]["ownerReferences"][0]
        assert owner["uid"] == api.objects["configmaps"][ANCHOR]["metadata"]["uid"], "the Job would be garbage"
        backend.sweep()
        assert ANCHOR in api.objects["configmaps"]
        backend.end_run(UID, cancelled=False)
        api.remove("jobs", NAME)
        eventually(lambda: state(backend) is None)
        backend.sweep()
        assert ANCHOR not in api.objects["configmaps"]


def test_a_job_of_an_ended_run_that_is_at_work_gets_no_time_to_live_yet(api, backend):
    create(backend)
    running(api)
    until(backend, "Running")
    backend.end_run(UID, cancelled=False)
    backend.sweep()
    assert "ttlSecondsAfterFinished" not in api.objects["jobs"][NAME]["spec"]


def test_an_anchor_that_we_delete_is_waited_for_and_one_that_somebody_deletes_rejects_its_jobs(api, backend):
    for marks, refusal, told in (
        ({ENDED: "true"}, OSError, "is being deleted"),
        ({}, JobRejected, "Deleted: somebody deleted"),
    ):
        going = {"name": ANCHOR, "labels": marks, "deletionTimestamp": "2026-03-01T12:00:00Z"}
        api.put("configmaps", {"metadata": going})
        with pytest.raises(refusal, match=told):
            create(backend)
        api.remove("configmaps", ANCHOR)


def test_a_log_is_the_pods_and_empty_before_there_is_one(api, backend):
    create(backend)
    assert backend.logs(NAME) == ""
    running(api)
    until(backend, "Running")
    assert backend.logs(NAME) == ""
    api.logs[f"{NAME}-0-x"] = "step 1\n"
    assert backend.logs(NAME) == "step 1\n"


def test_what_happens_to_a_run_is_an_event_about_its_anchor(api, backend):
    create(backend)
    backend.tell(UID, "Normal", "RoundPublished", "2 outputs")
    (event,) = eventually(lambda: [*api.objects.get("events", {}).values()])
    assert (event["reason"], event["message"], event["type"]) == ("RoundPublished", "2 outputs", "Normal")
    assert event["involvedObject"]["uid"] == api.objects["configmaps"][ANCHOR]["metadata"]["uid"]


def test_a_long_list_is_read_in_pages(api, tmp_path):
    for number in range(600):
        name = f"pilot-{number}"
        api.put("jobs", {"metadata": {"name": name, "labels": {"pilot.federated/run-uid": UID}}, "spec": {}})
    backend = backend_on(api, tmp_path)
    assert len(backend.observe([f"pilot-{number}" for number in range(600)])) == 600
    assert api.asked("GET", "jobs") == 3
    backend.close()


def test_without_a_cluster_there_is_no_backend(tmp_path):
    with pytest.raises(OSError, match="leads to no cluster"):
        KubernetesBackend(TEMPLATES, kubeconfig=tmp_path / "none")
