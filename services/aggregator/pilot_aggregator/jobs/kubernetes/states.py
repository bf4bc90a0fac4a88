"""From what the cluster shows of a Job to a state in our words. Pure.

Conditions decide that a Job has ended, never counters, exit codes or its absence; pods say how. A message is
`REASON: sentence`, the reason being the cluster's own word where it has one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pilot_aggregator.jobs.backend import JobState
from pilot_aggregator.jobs.kubernetes.labels import CONTAINER, EXPORT
from pilot_aggregator.jobs.kubernetes.templates import Object

EXITED = re.compile(r"failed with exit code (\d+)")
DISRUPTED = "DisruptionTarget"

TURNED_AWAY = re.compile(r"^(Evicted|NodeShutdown|NodeLost|Terminated|Preempting|UnexpectedAdmissionError|OutOf\w+)$")
"""Reasons of a pod that a node, not the program in it, ended."""

SAME = {"ImagePullBackOff": "ErrImagePull", "ErrImageNeverPull": "ErrImagePull"}
"""Reasons that alternate, or differ in nothing that matters to who reads them."""

USUAL = frozenset({"ContainerCreating", "PodInitializing", ""})
"""Waiting that needs no reason."""

MEANING = {
    64: "bad assignment",
    65: "bad data",
    75: "temporary",
    78: "bad configuration",
    137: "killed",
    143: "stopped",
}
"""What a trainer's exit code means."""

REMEDIES = {
    "ErrImagePull": "correct the client's image or its registry, or give the node a pull secret for it",
    "InvalidImageName": "correct the client's image",
    "CreateContainerConfigError": "make the Secret or ConfigMap that the client's template names",
    "FailedMount": "make the volume, Secret or ConfigMap that the client's template names",
    "FailedCreate": "raise the quota, or correct the client's template",
    "Unschedulable": "let the client ask for less, free a node, or add one that fits",
    "Killed": "raise the client's memory limit, unless somebody killed it",
    "OOMKilled": "raise the client's memory limit, or lower training.micro_batch_size",
    "DeadlineExceeded": "raise participation.deadline_s",
}
"""Reason to what somebody can do about it."""

EXPORTS_REMEDIES = REMEDIES | {
    "Killed": "raise the client's memory limit, or export without --merge-lora",
    "OOMKilled": "raise the client's memory limit, or export without --merge-lora",
    "DeadlineExceeded": "see what it waited for by 'kubectl describe', and export again",
}
"""The same for a Job that trains nothing."""

KILLED = 137

QUEUE = "kueue.x-k8s.io/queue-name"


def job_state(job: Object, pods: Sequence[Object], warnings: Mapping[str, str]) -> JobState:
    """The state of a Job. `warnings` are the last ones of its events and of its pods', by the object's name."""
    state = _state(job, pods, warnings)
    remedies = EXPORTS_REMEDIES if EXPORT in job["metadata"].get("labels", {}) else REMEDIES
    remedy = remedies.get(state.message.partition(":")[0])
    return replace(state, message=f"{state.message.rstrip('.')}. Next: {remedy}") if remedy else state


def has_ended(job: Object) -> bool:
    """Whether it will run no more."""
    return any(_condition(job, kind) for kind in ("Complete", "Failed"))


def _state(job: Object, pods: Sequence[Object], warnings: Mapping[str, str]) -> JobState:
    if ended := _condition(job, "Complete"):
        return JobState("Succeeded", 0, "", _began(pods), _time(ended.get("lastTransitionTime")))
    if ended := _condition(job, "Failed"):
        return _failed(ended, _newest(pods), _began(pods))
    if job["metadata"].get("deletionTimestamp"):
        return JobState("Cancelled", message="Deleted: somebody deleted the job")
    if job.get("spec", {}).get("suspend"):
        return JobState("Queued", message=_held(job))
    left_queue = _time(job.get("status", {}).get("startTime"))
    pod = _newest(pods)
    if pod is None:
        return JobState("Pending", message=warnings.get(job["metadata"]["name"], ""), started_at=left_queue)
    return _of_pod(pod, warnings.get(pod["metadata"]["name"], ""), left_queue)


def _failed(ended: Object, pod: Object | None, began: datetime | None) -> JobState:
    """How a Job failed: its own condition outlives the pod, and the pod says more."""
    at, reason, sentence = _time(ended.get("lastTransitionTime")), ended.get("reason", ""), ended.get("message", "")
    if disruption := _disruption(ended, pod):
        return JobState("Disrupted", None, disruption, began, at)
    if reason == "DeadlineExceeded":
        return JobState("Failed", None, f"DeadlineExceeded: {sentence}", began, at)
    exit_code, message = _exit(pod)
    if exit_code is None and (told := EXITED.search(sentence)):
        exit_code = int(told[1])
    if not message:
        message = _text(reason, sentence) if exit_code is None else _exited(exit_code)
    return JobState("Failed", exit_code, message, began, at)


def _disruption(ended: Object, pod: Object | None) -> str:
    """Why the cluster took the pod away, if it did."""
    if EXITED.search(ended.get("message", "")):
        return ""
    if pod and (target := _condition(pod, DISRUPTED)):
        return _text(target.get("reason", DISRUPTED), target.get("message", ""))
    if pod and TURNED_AWAY.match(turned_away := pod["status"].get("reason", "")):
        return _text(turned_away, pod["status"].get("message", ""))
    if f"has condition {DISRUPTED}" in ended.get("message", ""):
        return _text(DISRUPTED, ended["message"])
    return ""


def _exit(pod: Object | None) -> tuple[int | None, str]:
    """Exit code and last words of the attempt, or of whatever before it failed."""
    if pod is None:
        return None, ""
    for status in [*_statuses(pod, "containerStatuses"), *_statuses(pod, "initContainerStatuses")]:
        done = status.get("state", {}).get("terminated", {})
        if code := done.get("exitCode"):
            return code, _last_words(pod, status, done)
    return None, _text(pod["status"].get("reason", ""), pod["status"].get("message", ""))


def _last_words(pod: Object, status: Object, done: Object) -> str:
    if done.get("reason") == "OOMKilled":
        limit = _memory_limit(pod, status["name"])
        return f"OOMKilled: container {status['name']} used more memory than its limit{limit}"
    if words := done.get("message", "").strip():
        return str(words)
    if done["exitCode"] == KILLED and (limit := _memory_limit(pod, status["name"])):
        # The runtime misses it at times that it was for memory.
        return f"Killed: container {status['name']} was killed, likely for using more memory than its limit{limit}"
    if status["name"] != CONTAINER:
        return f"Error: container {status['name']} ended with exit code {done['exitCode']}"
    return ""


def _of_pod(pod: Object, warning: str, left_queue: datetime | None) -> JobState:
    if pod["status"].get("phase") in ("Succeeded", "Failed"):
        # The Job's condition follows when the controller has counted the pod.
        return JobState("Running", started_at=_began([pod]))
    for status in _statuses(pod, "containerStatuses"):
        state = status.get("state", {})
        if status["name"] == CONTAINER and (begun := state.get("running") or state.get("terminated")):
            return JobState("Running", started_at=_time(begun.get("startedAt")))
    scheduled = _condition(pod, "PodScheduled", "False")
    if scheduled and scheduled.get("reason") == "SchedulingGated":
        return JobState("Queued", message=_text("SchedulingGated", scheduled.get("message", "")))
    if scheduled:
        told = _text(scheduled.get("reason", "Unschedulable"), scheduled.get("message", ""))
        return JobState("Pending", message=told, started_at=left_queue)
    return JobState("Pending", message=_waiting(pod) or warning, started_at=left_queue)


def _waiting(pod: Object) -> str:
    """Why a container does not start, init containers first."""
    for status in [*_statuses(pod, "initContainerStatuses"), *_statuses(pod, "containerStatuses")]:
        waiting = status.get("state", {}).get("waiting", {})
        if (reason := waiting.get("reason", "")) not in USUAL:
            return _text(SAME.get(reason, reason), waiting.get("message", ""))
    return ""


def _held(job: Object) -> str:
    queue = job["metadata"].get("labels", {}).get(QUEUE)
    return f"Suspended: waits for its turn in queue {queue}" if queue else "Suspended: waits to be let go"


def _began(pods: Sequence[Object]) -> datetime | None:
    for status in _statuses(_newest(pods), "containerStatuses"):
        state = status.get("state", {})
        begun = state.get("running") or state.get("terminated") or {}
        if status["name"] == CONTAINER and begun.get("startedAt"):
            return _time(begun["startedAt"])
    return None


def _newest(pods: Sequence[Object]) -> Object | None:
    return max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None)


def _statuses(pod: Object | None, which: str) -> list[Object]:
    found: list[Object] = pod["status"].get(which) or [] if pod else []
    return found


def _condition(thing: Object, kind: str, status: str = "True") -> Object | None:
    conditions = thing.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c.get("type") == kind and c.get("status") == status), None)


def _exited(code: int) -> str:
    meaning = f" ({MEANING[code]})" if code in MEANING else ""
    return f"Exited: the trainer ended with code {code}{meaning}"


def _memory_limit(pod: Object, name: str) -> str:
    for container in pod.get("spec", {}).get("containers", []):
        if container["name"] == name and (limit := container.get("resources", {}).get("limits", {}).get("memory")):
            return f" of {limit}"
    return ""


def _text(reason: str, sentence: str) -> str:
    return f"{reason}: {sentence}" if reason and sentence else reason or sentence


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
