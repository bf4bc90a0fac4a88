"""Pods that go in the middle of a run: the same bytes are published, every update is counted once, no Job is left over.

In a namespace that enforces Pod Security `restricted`, with stand-in trainers.
"""

import json

import pytest
from cluster.release import Release, brief_run
from deployments import outcome
from pilot_proto.boundaries import Boundary

CLIENTS = ("vqa-1", "vqa-2", "cap-1", "cap-2")
SLOW = "cap-1"
LONG_ENOUGH_S = 8.0
"""That a test finds a trainer at work."""


@pytest.fixture(scope="module")
def undisturbed(restricted: Release):
    run = restricted.run(brief_run("undisturbed"))
    assert run.status.phase == "Succeeded", restricted.explain()
    return outcome(restricted, "undisturbed")


@pytest.fixture(autouse=True)
def no_faults(restricted: Release):
    restricted.faults()


def start(release: Release, name: str, **participation: int) -> None:
    """Bring a run to where its first training round may start."""
    asked = brief_run(name, participation=participation, advance="manual")
    release.aggregator.create_run(asked)
    release.eventually(lambda: release.aggregator.run(name).status.published == 0)


def finish(release: Release, name: str):
    run = release.wait(name)
    assert run.status.phase == "Succeeded", release.explain()
    assert run.status.conditions == ()
    return outcome(release, name)


def trainer_at_work(release: Release, name: str, client: str) -> str:
    (pod,) = release.eventually(lambda: release.trainers(name, client))
    return str(pod["metadata"]["name"])


def attempts_at_work(release: Release, name: str, client: str = SLOW) -> set[str]:
    return {pod["metadata"]["labels"]["pilot.federated/attempt"] for pod in release.trainers(name, client)}


def slowly(release: Release, name: str, client: str = SLOW, **participation: int) -> str:
    """A run in its first round, in which a client takes long; the name of that client's pod."""
    start(release, name, **participation)
    release.faults(**{client: {"hang": {"1": LONG_ENOUGH_S}}})
    release.aggregator.trigger(name, "end")
    return trainer_at_work(release, name, client)


def test_every_client_of_a_round_is_one_job_of_its_own(restricted: Release, undisturbed):
    start(restricted, "jobs")
    restricted.faults(**{client: {"hang": {"1": LONG_ENOUGH_S}} for client in CLIENTS})
    restricted.aggregator.trigger("jobs", "end")
    restricted.eventually(lambda: len(restricted.trainers("jobs")) == len(CLIENTS))
    jobs = restricted.cluster.items(
        "jobs", "pilot.federated/run=jobs,pilot.federated/round=1", namespace=restricted.namespace
    )
    assert sorted(job["metadata"]["labels"]["pilot.federated/client"] for job in jobs) == sorted(CLIENTS)
    for job in jobs:
        spec = job["spec"]
        assert (spec["completionMode"], spec["backoffLimit"], spec["parallelism"]) == ("Indexed", 0, 1)
        assert spec["podReplacementPolicy"] == "Failed"
        assert spec["template"]["spec"]["automountServiceAccountToken"] is False
        assert job["metadata"]["ownerReferences"][0]["kind"] == "ConfigMap"
    files = restricted.kubectl(
        "exec", trainer_at_work(restricted, "jobs", SLOW), "-c", "trainer", "--", "find", "/run/secrets"
    )
    assert "/run/secrets/pilot/token" in files
    assert "kubernetes.io" not in files
    assert finish(restricted, "jobs") == undisturbed
    restricted.eventually(lambda: not restricted.trainers("jobs"))


def test_the_namespace_refuses_what_is_not_restricted(restricted: Release):
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted'):
        restricted.kubectl("run", "bad", "--image=localhost/pause:1", "--privileged")


@pytest.mark.parametrize("boundary", [Boundary.JOB_STARTED, Boundary.PLAN_STORED, Boundary.MERGED])
def test_the_aggregators_pod_goes_while_training_and_while_merging(restricted: Release, undisturbed, boundary):
    name = f"aggregator-{boundary}"
    start(restricted, name)
    restricted.arm(boundary)
    restricted.aggregator.trigger(name, "end")
    restricted.eventually(lambda: restricted.stopped_at(boundary))
    restricted.kubectl("delete", "pod", restricted.pod("aggregator"), "--grace-period=0", "--force")
    assert finish(restricted, name) == undisturbed


@pytest.mark.parametrize("component", ["registry", "objectstore"])
def test_what_keeps_the_bytes_goes_while_trainers_upload(restricted: Release, undisturbed, component):
    name = f"no-{component}"
    pod = restricted.pod(component)
    slowly(restricted, name)
    restricted.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    assert finish(restricted, name) == undisturbed


def test_an_evicted_trainer_costs_no_attempt(restricted: Release, undisturbed):
    pod = slowly(restricted, "evicted", attempts=1)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    path = f"/api/v1/namespaces/{restricted.namespace}/pods/{pod}/eviction"
    restricted.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(eviction))
    assert finish(restricted, "evicted") == undisturbed


def test_a_deleted_trainer_is_tried_again(restricted: Release, undisturbed):
    pod = slowly(restricted, "deleted")
    restricted.kubectl("delete", "pod", pod, "--wait=false")
    assert finish(restricted, "deleted") == undisturbed


def test_a_killed_trainer_is_tried_again(restricted: Release, undisturbed):
    pod = slowly(restricted, "killed")
    # Once this command has ended: it would go with the container.
    kill = "until [ -s /tmp/pid ]; do sleep 0.1; done; (sleep 0.5; kill -9 $(cat /tmp/pid)) >/dev/null 2>&1 &"
    restricted.kubectl("exec", pod, "-c", "trainer", "--", "sh", "-c", kill)
    restricted.eventually(lambda: attempts_at_work(restricted, "killed") == {"2"})
    assert finish(restricted, "killed") == undisturbed


def test_a_cancelled_run_leaves_no_job_at_work(restricted: Release):
    slowly(restricted, "cancelled")
    restricted.aggregator.cancel("cancelled")
    assert restricted.wait("cancelled").status.phase == "Cancelled"
    restricted.eventually(lambda: not restricted.trainers("cancelled"))


def test_when_every_run_has_ended_no_job_is_at_work_and_none_was_made_twice(restricted: Release):
    assert {run.status.phase for run in restricted.aggregator.runs().items} <= {"Succeeded", "Cancelled"}

    def at_work():
        jobs = restricted.cluster.items("jobs", "pilot.federated/run", namespace=restricted.namespace)
        return [job["metadata"]["name"] for job in jobs if job["status"].get("active")]

    restricted.eventually(lambda: not at_work())
    pods = restricted.cluster.items("pods", "pilot.federated/run", namespace=restricted.namespace)
    of_jobs = [pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] for pod in pods]
    assert len(of_jobs) == len(set(of_jobs))
