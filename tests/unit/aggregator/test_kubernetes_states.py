"""What the cluster shows of a Job, in our words. The objects are cut from what a real cluster answered."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pilot_aggregator.jobs.backend import JobState
from pilot_aggregator.jobs.kubernetes.states import REMEDIES, job_state

LEFT = "2026-03-01T12:00:00Z"
BEGAN = "2026-03-01T12:00:05Z"
ENDED = "2026-03-01T12:10:00Z"


def moment(text):
    return datetime.fromisoformat(text).astimezone(UTC)


def condition(kind, reason="", message="", status="True"):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": ENDED}


def job(*conditions, suspend=False, labels=None, deleting=False, started=True):
    metadata = {"name": "j", "labels": labels or {}}
    if deleting:
        metadata["deletionTimestamp"] = ENDED
    status = {"startTime": LEFT} if started else {}
    return {"metadata": metadata, "spec": {"suspend": suspend}, "status": {**status, "conditions": [*conditions]}}


def pod(trainer=None, *conditions, phase="Pending", init=None, created=LEFT, name="j-0-x", limits=None, **status):
    told = {"phase": phase, "conditions": [*conditions], **status}
    if trainer is not None:
        told["containerStatuses"] = [{"name": "trainer", "state": trainer}]
    if init is not None:
        told["initContainerStatuses"] = [{"name": "unpack", "state": init}]
    containers = [{"name": "trainer", "resources": {"limits": limits or {}}}]
    return {
        "metadata": {"name": name, "creationTimestamp": created},
        "spec": {"containers": containers},
        "status": told,
    }


def waiting(reason, message=""):
    return {"waiting": {"reason": reason, "message": message}}


def exited(code, reason="Error", message=""):
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "startedAt": BEGAN}}


RUNNING = {"running": {"startedAt": BEGAN}}
CONTAINER_CREATING = waiting("ContainerCreating")
INITIALIZING = waiting("PodInitializing")


def failed_by(code, rule=2):
    told = f"Container trainer for pod ns/j-0-x failed with exit code {code} matching FailJob rule at index {rule}"
    return condition("Failed", "PodFailurePolicy", told)


TAKEN_AWAY = condition(
    "Failed", "PodFailurePolicy", "Pod ns/j-0-x has condition DisruptionTarget matching FailJob rule at index 1"
)
EVICTED = condition("DisruptionTarget", "EvictionByEvictionAPI", "Eviction API: evicting")
NO_NODE = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
UNSCHEDULABLE = condition("PodScheduled", "Unschedulable", NO_NODE, "False")
GATED = condition("PodScheduled", "SchedulingGated", "Scheduling is blocked due to gates", "False")
PULL = 'failed to pull image "r/i:1": not found'
DEADLINE = condition("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
BACKOFF = condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")


def pending(message=""):
    return JobState("Pending", None, message, moment(LEFT))


def running():
    return JobState("Running", started_at=moment(BEGAN))


def failed(code, message, began=BEGAN):
    return JobState("Failed", code, message, moment(began) if began else None, moment(ENDED))


def disrupted(message, began=BEGAN):
    return JobState("Disrupted", None, message, moment(began) if began else None, moment(ENDED))


def without_remedy(state):
    return replace(state, message=state.message.partition(". Next: ")[0].rstrip("."))


QUOTA = 'FailedCreate: Error creating: pods "j-0-x" is forbidden: exceeded quota: gpus'

STATES = {
    "suspended": (job(suspend=True, started=False), [], JobState("Queued", message="Suspended: waits to be let go")),
    "in a queue": (
        job(suspend=True, started=False, labels={"kueue.x-k8s.io/queue-name": "gpus"}),
        [],
        JobState("Queued", message="Suspended: waits for its turn in queue gpus"),
    ),
    "suspended again while its pod ends": (
        job(suspend=True, started=False),
        [pod(RUNNING, phase="Running")],
        JobState("Queued", message="Suspended: waits to be let go"),
    ),
    "gated": (
        job(),
        [pod(None, GATED)],
        JobState("Queued", message="SchedulingGated: Scheduling is blocked due to gates"),
    ),
    "seen by no controller yet": (job(started=False), [], JobState("Pending")),
    "without a pod": (job(), [], pending()),
    "with a pod that nobody has looked at": (job(), [pod()], pending()),
    "unschedulable": (job(), [pod(None, UNSCHEDULABLE)], pending(f"Unschedulable: {NO_NODE}")),
    "being created": (job(), [pod(CONTAINER_CREATING)], pending()),
    "unable to pull": (job(), [pod(waiting("ErrImagePull", PULL))], pending(f"ErrImagePull: {PULL}")),
    "backing off from a pull": (job(), [pod(waiting("ImagePullBackOff", PULL))], pending(f"ErrImagePull: {PULL}")),
    "never pulling": (job(), [pod(waiting("ErrImageNeverPull", PULL))], pending(f"ErrImagePull: {PULL}")),
    "misnaming its image": (job(), [pod(waiting("InvalidImageName", "x"))], pending("InvalidImageName: x")),
    "lacking a secret's key": (
        job(),
        [pod(waiting("CreateContainerConfigError", "no key"))],
        pending("CreateContainerConfigError: no key"),
    ),
    "unable to pull for an init container": (
        job(),
        [pod(INITIALIZING, init=waiting("ImagePullBackOff", PULL))],
        pending(f"ErrImagePull: {PULL}"),
    ),
    "initialising": (job(), [pod(INITIALIZING, init={"running": {}})], pending()),
    "running": (job(), [pod(RUNNING, phase="Running")], running()),
    "waiting in its second pod": (
        job(),
        [pod(exited(1), phase="Failed", name="old", created=LEFT), pod(None, UNSCHEDULABLE, created=BEGAN)],
        pending(f"Unschedulable: {NO_NODE}"),
    ),
    "over and not yet counted": (job(), [pod(exited(0, "Completed"), phase="Succeeded")], running()),
    "about to be complete": (job(condition("SuccessCriteriaMet")), [pod(exited(0), phase="Succeeded")], running()),
    "about to fail": (job(condition("FailureTarget")), [pod(exited(65), phase="Failed")], running()),
    "complete": (
        job(condition("Complete")),
        [pod(exited(0, "Completed"), phase="Succeeded")],
        JobState("Succeeded", 0, "", moment(BEGAN), moment(ENDED)),
    ),
    "complete and deleted": (
        job(condition("Complete"), deleting=True),
        [],
        JobState("Succeeded", 0, "", None, moment(ENDED)),
    ),
    "fatal, with its last words": (
        job(failed_by(65, 0)),
        [pod(exited(65, message="bad_data: record 7 has no image\n"), phase="Failed")],
        failed(65, "bad_data: record 7 has no image"),
    ),
    "fatal, its pod gone": (
        job(failed_by(65, 0)),
        [],
        failed(65, "Exited: the trainer ended with code 65 (bad data)", None),
    ),
    "temporary": (
        job(failed_by(75)),
        [pod(exited(75), phase="Failed")],
        failed(75, "Exited: the trainer ended with code 75 (temporary)"),
    ),
    "killed": (
        job(failed_by(137)),
        [pod(exited(137), phase="Failed")],
        failed(137, "Exited: the trainer ended with code 137 (killed)"),
    ),
    "killed under a limit of memory": (
        job(failed_by(137)),
        [pod(exited(137), phase="Failed", limits={"memory": "32Mi"})],
        failed(137, "Killed: container trainer was killed, likely for using more memory than its limit of 32Mi"),
    ),
    "out of memory": (
        job(failed_by(137)),
        [pod(exited(137, "OOMKilled"), phase="Failed", limits={"memory": "32Mi"})],
        failed(137, "OOMKilled: container trainer used more memory than its limit of 32Mi"),
    ),
    "failed before the trainer": (
        job(BACKOFF),
        [pod(INITIALIZING, phase="Failed", init=exited(2))],
        failed(2, "Error: container unpack ended with exit code 2", None),
    ),
    "too late": (
        job(DEADLINE),
        [],
        failed(None, "DeadlineExceeded: Job was active longer than specified deadline", None),
    ),
    "out of retries, its pod gone": (
        job(BACKOFF),
        [],
        failed(None, "BackoffLimitExceeded: Job has reached the specified backoff limit", None),
    ),
    "evicted": (
        job(TAKEN_AWAY),
        [pod(exited(75), EVICTED, phase="Failed")],
        disrupted("EvictionByEvictionAPI: Eviction API: evicting"),
    ),
    "evicted, its pod gone": (job(TAKEN_AWAY), [], disrupted(f"DisruptionTarget: {TAKEN_AWAY['message']}", None)),
    "evicted after it had failed for good": (
        job(failed_by(65, 0)),
        [pod(exited(65, message="bad_data: x"), EVICTED, phase="Failed")],
        failed(65, "bad_data: x"),
    ),
    "turned away by a node": (
        job(BACKOFF),
        [pod(phase="Failed", reason="OutOfcpu", message="Node didn't have enough resource: cpu")],
        disrupted("OutOfcpu: Node didn't have enough resource: cpu", None),
    ),
    "deleted": (job(deleting=True), [], JobState("Cancelled", message="Deleted: somebody deleted the job")),
}


@pytest.mark.parametrize(("seen", "pods", "state"), STATES.values(), ids=STATES)
def test_the_state_of_a_job(seen, pods, state):
    assert without_remedy(job_state(seen, pods, {})) == without_remedy(state)


def test_what_a_person_can_mend_comes_with_what_to_do():
    told = job_state(job(), [pod(None, UNSCHEDULABLE)], {}).message
    assert (
        told
        == "Unschedulable: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu. Next: " + REMEDIES["Unschedulable"]
    )
    assert job_state(job(), [pod(CONTAINER_CREATING)], {}).message == ""


def test_a_job_without_a_pod_says_why_none_is_made():
    assert without_remedy(job_state(job(), [], {"j": QUOTA})) == pending(QUOTA)


def test_a_pod_whose_volume_cannot_be_mounted_says_so():
    told = 'FailedMount: MountVolume.SetUp failed for volume "keys": secret "keys" not found'
    assert without_remedy(job_state(job(), [pod(CONTAINER_CREATING)], {"j-0-x": told})) == pending(told)
    assert job_state(job(), [pod(RUNNING, phase="Running")], {"j-0-x": told}) == running()
