"""The Kubernetes backend on a real cluster: every way for a Job to end, or not to start."""

import json
import os
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from pilot_aggregator.jobs.backend import JobConflict, JobRejected, JobRequest
from pilot_aggregator.jobs.kubernetes.api import Cluster as Api
from pilot_aggregator.jobs.kubernetes.backend import KubernetesBackend
from pilot_aggregator.jobs.kubernetes.labels import anchor_name
from pilot_aggregator.jobs.kubernetes.lease import Lease
from pilot_aggregator.jobs.kubernetes.templates import JobTemplates

pytestmark = pytest.mark.enable_socket

NAMESPACE = "pilot-backend"
IMAGE = os.environ.get("PILOT_TEST_IMAGE", "localhost/pilot/registry:dev")
"""Anything with python3."""
LIMIT_S = 60
ROUND_TRIP_S = 0.2

SLEEP = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print("at work", flush=True)
time.sleep(600)
"""
WORDS = 'open("/dev/termination-log", "w").write("bad_data: record 7 has no image"); raise SystemExit(65)'
GPU = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
LITTLE = {"resources": {"limits": {"memory": "32Mi"}}}
SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def template(code="pass", image=IMAGE, job=None, pod=None, **container):
    trainer = {
        "name": "trainer",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", code],
        "securityContext": SAFE,
        **container,
    }
    spec = {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 5, "containers": [trainer]}
    return {"spec": {**(job or {}), "template": {"spec": {**spec, **(pod or {})}}}}


TEMPLATES = {
    "done": template("import os; print('hello from', os.environ['PILOT_INCARNATION'])"),
    "fatal": template(WORDS),
    "temporary": template("raise SystemExit(75)"),
    "greedy": template("bytearray(300 << 20)", **LITTLE),
    "no-node": template(**GPU),
    "no-image": template(image="localhost/pilot/there-is-none:1"),
    "no-account": template(pod={"serviceAccountName": "nobody"}),
    "no-secret": template(envFrom=[{"secretRef": {"name": "nothing"}}]),
    "no-volume": template(pod={"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "none"}}]}),
    "suspended": template(job={"suspend": True}),
    "sleeper": template(SLEEP),
    "invalid": template(ports=[{"containerPort": -1}]),
    "too-long": template(SLEEP),
}


@dataclass
class Jobs:
    """Jobs of one run on the cluster."""

    backend: KubernetesBackend
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)

    def name(self, client, attempt=1):
        return f"pilot-{self.uid[:8]}-r1-{client}-a{attempt}"

    def rendered(self, client, attempt=1, told="1", deadline_s=600):
        labels = {"run": "t", "run-uid": self.uid, "round": "1", "client": client, "attempt": str(attempt)}
        request = JobRequest(self.name(client, attempt), client, {"PILOT_ROUND": told}, labels, deadline_s)
        return self.backend.render(request)

    def create(self, client, attempt=1, **different):
        self.backend.create(self.name(client, attempt), self.rendered(client, attempt, **different))

    def state(self, client, attempt=1):
        return self.backend.observe([self.name(client, attempt)]).get(self.name(client, attempt))

    def until(self, client, look, attempt=1):
        deadline = time.monotonic() + LIMIT_S
        while not ((found := self.state(client, attempt)) and look(found)):
            assert time.monotonic() < deadline, f"{client} is {found}"
            time.sleep(ROUND_TRIP_S)
        return found

    def until_at_work(self, client, attempt=1):
        """Running is as soon as there is a process; it has yet to say what it does with a signal."""
        return self.until(client, lambda _: "at work" in self.backend.logs(self.name(client, attempt)), attempt)

    def until_phase(self, client, phase, attempt=1):
        return self.until(client, lambda state: state.phase == phase, attempt)


@pytest.fixture(scope="module")
def namespace(cluster):
    strict = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": strict}},
        namespace=NAMESPACE,
    )
    yield NAMESPACE
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def backend(cluster, namespace):
    templates = JobTemplates.model_validate(
        {
            "apiVersion": "pilot/v1alpha1",
            "kind": "JobTemplates",
            "metadata": {"name": "pilot"},
            "spec": {"namespace": namespace, "templates": TEMPLATES},
        }
    )
    made = KubernetesBackend(templates, kubeconfig=cluster.kubeconfig, ttl_s=1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def jobs(backend):
    """All that can go on at once goes on at once: most of the time is the kubelet's."""
    made = Jobs(backend)
    for client in TEMPLATES:
        if client not in ("invalid", "sleeper", "too-long"):
            made.create(client)
    yield made
    backend.end_run(made.uid, cancelled=True)


def pod_of(cluster, job):
    (pod,) = cluster.items("pods", f"batch.kubernetes.io/job-name={job}", namespace=NAMESPACE)
    return pod["metadata"]["name"]


def evict(cluster, pod):
    """As a drain does, with a grace short enough to see the trainer stop by itself."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    cluster.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(eviction))


def test_a_job_that_is_done_has_succeeded_and_its_log_names_its_incarnation(cluster, jobs):
    done = jobs.until_phase("done", "Succeeded")
    assert done.exit_code == 0
    assert done.started_at <= done.ended_at <= datetime.now(UTC)
    (pod,) = cluster.items("pods", f"batch.kubernetes.io/job-name={jobs.name('done')}", namespace=NAMESPACE)
    assert jobs.backend.logs(jobs.name("done")) == f"hello from {pod['metadata']['uid']}\n"


def test_a_job_lives_on_until_its_outcome_is_stored_and_is_gone_soon_after(jobs):
    jobs.until_phase("done", "Succeeded")
    jobs.backend.settle(jobs.name("done"))
    deadline = time.monotonic() + LIMIT_S
    while jobs.state("done") is not None:
        assert time.monotonic() < deadline, "the Job stays"
        time.sleep(ROUND_TRIP_S)


ENDS = {
    "fatal": (65, "bad_data: record 7 has no image"),
    "temporary": (75, "Exited: the trainer ended with code 75"),
    "greedy": (137, ("OOMKilled: container trainer used more memory than its limit of 32Mi", "Killed: container")),
}


@pytest.mark.parametrize(("client", "exit_code", "told"), [(name, *end) for name, end in ENDS.items()], ids=ENDS)
def test_a_job_that_fails_says_how(jobs, client, exit_code, told):
    failed = jobs.until_phase(client, "Failed")
    assert failed.exit_code == exit_code
    assert failed.message.startswith(told)


PENDING = {
    "no-node": ("Unschedulable", "nvidia.com/gpu"),
    "no-image": ("ErrImagePull", "there-is-none"),
    "no-account": ("FailedCreate", "nobody"),
    "no-secret": ("CreateContainerConfigError", "nothing"),
    "no-volume": ("Unschedulable", '"none" not found'),
}


@pytest.mark.parametrize(("client", "reason", "word"), [(name, *why) for name, why in PENDING.items()], ids=PENDING)
def test_a_job_that_cannot_start_says_why(jobs, client, reason, word):
    found = jobs.until(client, lambda state: state.message.startswith(f"{reason}:"))
    assert found.phase == "Pending"
    assert word in found.message
    assert "Next: " in found.message


def test_a_job_that_is_held_is_queued(jobs):
    assert jobs.until_phase("suspended", "Queued").message == "Suspended: waits to be let go"


def test_making_a_job_again_adopts_it_and_another_of_its_name_is_a_conflict(jobs):
    jobs.create("no-node")
    with pytest.raises(JobConflict):
        jobs.create("no-node", told="2")


def test_what_no_server_would_accept_is_rejected_in_its_words(jobs):
    with pytest.raises(JobRejected, match="containerPort"):
        jobs.create("invalid")


def test_trying_out_finds_what_is_wrong_before_anything_is_made(jobs):
    assert jobs.backend.try_out(jobs.name("done", 9), jobs.rendered("done", 9)) == ""
    assert "containerPort" in jobs.backend.try_out(jobs.name("invalid"), jobs.rendered("invalid"))
    assert "nobody" in jobs.backend.try_out(jobs.name("no-account", 9), jobs.rendered("no-account", 9))


def test_an_eviction_is_a_disruption_even_to_who_looks_when_the_pod_is_gone(cluster, jobs):
    jobs.create("sleeper")
    jobs.until_at_work("sleeper")
    evict(cluster, pod_of(cluster, jobs.name("sleeper")))
    assert "DisruptionTarget" in (told := jobs.until_phase("sleeper", "Disrupted").message) or "Eviction" in told
    successor = KubernetesBackend(jobs.backend.templates, kubeconfig=cluster.kubeconfig)
    assert successor.observe([jobs.name("sleeper")])[jobs.name("sleeper")].phase == "Disrupted"
    successor.close()


def test_a_pod_that_somebody_deletes_is_a_failure_that_may_be_tried_again(cluster, jobs):
    jobs.create("sleeper", 2)
    jobs.until_at_work("sleeper", 2)
    cluster.kubectl("delete", "pod", pod_of(cluster, jobs.name("sleeper", 2)), "--wait=false", namespace=NAMESPACE)
    assert jobs.until_phase("sleeper", "Failed", 2).exit_code == 75


def test_a_killed_process_is_a_failure(cluster, jobs):
    jobs.create("sleeper", 3)
    jobs.until_at_work("sleeper", 3)
    # Once this command has ended: it would go with the container.
    kill = "(sleep 0.5; kill 1) >/dev/null 2>&1 &"
    cluster.kubectl("exec", pod_of(cluster, jobs.name("sleeper", 3)), "--", "sh", "-c", kill, namespace=NAMESPACE)
    assert jobs.until_phase("sleeper", "Failed", 3).exit_code == 75


def test_a_job_that_is_deleted_is_gone_and_so_is_its_pod(cluster, jobs):
    jobs.create("sleeper", 4)
    jobs.until_at_work("sleeper", 4)
    jobs.backend.delete(jobs.name("sleeper", 4))
    deadline = time.monotonic() + LIMIT_S
    selector = f"batch.kubernetes.io/job-name={jobs.name('sleeper', 4)}"
    while jobs.state("sleeper", 4) or cluster.items("pods", selector, namespace=NAMESPACE):
        assert time.monotonic() < deadline, "it stays"
        time.sleep(ROUND_TRIP_S)


def test_a_job_that_takes_too_long_is_ended_by_the_cluster(jobs):
    jobs.create("too-long", deadline_s=4)
    assert jobs.until_phase("too-long", "Failed").message.startswith("DeadlineExceeded:")


def test_cancelling_a_run_takes_every_job_and_what_happened_is_told_before(cluster, backend):
    run = Jobs(backend)
    for attempt in (1, 2):
        run.create("sleeper", attempt)
    backend.tell(run.uid, "Normal", "RoundOpened", "round 1: stage-1 for 2 clients")
    deadline = time.monotonic() + LIMIT_S
    while not [
        e for e in cluster.items("events", namespace=NAMESPACE) if e["involvedObject"]["name"] == anchor_name(run.uid)
    ]:
        assert time.monotonic() < deadline, "no event"
        time.sleep(ROUND_TRIP_S)
    backend.end_run(run.uid, cancelled=True)
    while any(backend.observe([run.name("sleeper", 1), run.name("sleeper", 2)])):
        assert time.monotonic() < deadline, "Jobs stay"
        time.sleep(ROUND_TRIP_S)
    assert not cluster.items("configmaps", f"pilot.federated/run-uid={run.uid}", namespace=NAMESPACE)


def test_of_two_replicas_one_leads_and_the_other_follows_when_it_leaves(cluster, namespace):
    def connect():
        return Api.connect(namespace, cluster.kubeconfig)

    first, second = (Lease(connect, "pilot-test", name, lambda: 0) for name in ("a", "b"))
    led = {name: threading.Event() for name in ("a", "b")}
    first.start(lambda _: led["a"].set(), led["a"].clear)
    assert led["a"].wait(LIMIT_S)
    second.start(lambda _: led["b"].set(), led["b"].clear)
    assert not led["b"].wait(3)
    first.stop()
    assert led["b"].wait(LIMIT_S)
    assert (first.fence, second.fence) == (1, 2)
    second.stop()
