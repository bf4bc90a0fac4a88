"""What the cluster last said, in memory: our Jobs, their pods, and warnings about either.

Written by the event loop, read by other threads. Objects are cut down to what states are concluded from: a thousand
Jobs with everything that the server adds to them would take more memory than the rest of the service.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from pilot_aggregator.jobs.backend import JobState
from pilot_aggregator.jobs.kubernetes.labels import JOB_OF_POD, OURS
from pilot_aggregator.jobs.kubernetes.states import job_state
from pilot_aggregator.jobs.kubernetes.templates import Object

log = logging.getLogger(__name__)

SILENCE_S = 10.0
"""A watch that is being opened again is no reason to doubt what is known."""

TELLING = frozenset({"FailedCreate", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"})
"""Warnings that say why a pod is not there, or not at work. What others say is in the pod."""


class Silence(NamedTuple):
    """The server does not speak."""

    began: float
    since: datetime
    why: str


class Shelf:
    """The objects of one kind, by what they belong to and by name."""

    def __init__(self, belongs: Callable[[Object], str], cut: Callable[[Object], Object | None]) -> None:
        """`belongs` is asked of what `cut` has left of an object; None is not kept at all."""
        self._belongs, self.cut = belongs, cut
        self._lock = threading.Lock()
        self._groups: dict[str, dict[str, Object]] = {}
        self.listed = threading.Event()
        self.silence: Silence | None = None

    def keep(self, thing: Object) -> Object | None:
        """What is kept of an object of a list. One that cannot be read harms no other."""
        try:
            return self.cut(thing)
        except Exception:
            log.exception("an object that cannot be read: %s", thing.get("metadata", {}).get("name"))
            return None

    def of(self, group: str) -> list[Object]:
        """What belongs to something."""
        with self._lock:
            return list(self._groups.get(group, {}).values())

    def everything(self) -> list[Object]:
        with self._lock:
            return [thing for group in self._groups.values() for thing in group.values()]

    def replace(self, objects: list[Object]) -> None:
        """These are all, cut already."""
        groups: dict[str, dict[str, Object]] = {}
        for thing in objects:
            groups.setdefault(self._belongs(thing), {})[thing["metadata"]["name"]] = thing
        with self._lock:
            self._groups = groups
        self.listed.set()

    def change(self, kind: str, thing: Object) -> None:
        kept = self.cut(thing)
        if kept is None:
            return
        name, group = kept["metadata"]["name"], self._belongs(kept)
        with self._lock:
            if kind == "DELETED":
                self._groups.get(group, {}).pop(name, None)
            else:
                self._groups.setdefault(group, {})[name] = kept
            if not self._groups.get(group):
                self._groups.pop(group, None)

    def add(self, thing: Object) -> None:
        """What was just read or made, unless the stream has brought it, which may have come further."""
        kept = self.cut(thing)
        if kept is not None:
            with self._lock:
                self._groups.setdefault(self._belongs(kept), {}).setdefault(kept["metadata"]["name"], kept)

    def heard(self) -> None:
        self.silence = None

    def lost(self, why: str) -> None:
        self.silence = self.silence or Silence(time.monotonic(), datetime.now(UTC), why)


class Mirror:
    """Jobs, pods and warnings, and the states that follow from them."""

    def __init__(self) -> None:
        self.jobs = Shelf(_name, _job)
        self.pods = Shelf(lambda pod: str(pod["metadata"].get("labels", {}).get(JOB_OF_POD, "")), _pod)
        self.warnings = Shelf(lambda event: str(event["about"]), _warning)

    def job(self, name: str) -> Object | None:
        return next(iter(self.jobs.of(name)), None)

    def state(self, job: Object) -> JobState:
        """The state of a Job as far as it has been told of."""
        name = job["metadata"]["name"]
        pods = self.pods.of(name)
        return job_state(job, pods, {about: self._warning_of(about) for about in [name, *map(_name, pods)]})

    def unknown(self) -> JobState | None:
        """Why nothing can be said of any Job now, if so."""
        for shelf in (self.jobs, self.pods):
            if shelf.silence and time.monotonic() - shelf.silence.began > SILENCE_S:
                since = shelf.silence.since.strftime("%H:%M:%S UTC")
                why = shelf.silence.why
                return JobState("Unknown", message=f"NoContact: the Kubernetes API is silent since {since}: {why}")
            if not shelf.listed.is_set():
                return JobState("Unknown", message="NoContact: the Kubernetes API has not answered yet")
        return None

    def _warning_of(self, about: str) -> str:
        newest = max(self.warnings.of(about), key=lambda event: str(event["at"]), default=None)
        return f"{newest['reason']}: {newest['message']}" if newest else ""


def _name(thing: Object) -> str:
    return str(thing["metadata"]["name"])


def _job(job: Object) -> Object:
    return {
        "metadata": _only(job["metadata"], "name", "uid", "labels", "deletionTimestamp"),
        "spec": _only(job.get("spec", {}), "suspend", "ttlSecondsAfterFinished"),
        "status": {**_only(job.get("status", {}), "startTime"), **_conditions(job)},
    }


def _pod(pod: Object) -> Object:
    containers = [_only(container, "name", "resources") for container in pod.get("spec", {}).get("containers", [])]
    status = pod.get("status", {})
    statuses = {
        name: [_only(container, "name", "state") for container in status[name] or []]
        for name in ("containerStatuses", "initContainerStatuses")
        if name in status
    }
    return {
        "metadata": _only(pod["metadata"], "name", "uid", "labels", "creationTimestamp", "deletionTimestamp"),
        "spec": {"containers": containers},
        "status": {**_only(status, "phase", "reason", "message"), **_conditions(pod), **statuses},
    }


def _conditions(thing: Object) -> Object:
    told = ("type", "status", "reason", "message", "lastTransitionTime")
    return {"conditions": [_only(condition, *told) for condition in thing.get("status", {}).get("conditions") or []]}


def _warning(event: Object) -> Object | None:
    about = event.get("involvedObject", {}).get("name", "")
    if event.get("reason") not in TELLING or not about.startswith(OURS):
        return None
    at = event.get("lastTimestamp") or event.get("eventTime") or ""
    said = _only(event, "reason", "message")
    return {"metadata": {"name": _name(event)}, "about": about, "at": at, **said}


def _only(thing: Mapping[str, object], *names: str) -> Object:
    return {name: thing[name] for name in names if name in thing}
