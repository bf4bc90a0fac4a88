"""A ConfigMap for each run: it owns the run's Jobs, and what happens to the run is told as events about it."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from pilot_aggregator.jobs.backend import JobRejected
from pilot_aggregator.jobs.kubernetes import labels
from pilot_aggregator.jobs.kubernetes.api import CONFIG_MAPS, EVENTS, JOBS, Cluster, NotNow, Refused
from pilot_aggregator.jobs.kubernetes.mirror import Mirror
from pilot_aggregator.jobs.kubernetes.states import has_ended
from pilot_aggregator.jobs.kubernetes.templates import Object

REPORTER = "pilot-aggregator"


class Anchors:
    """The anchors of all runs."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._known: dict[str, Object] = {}
        self._wanted: Counter[str] = Counter()
        """Runs of which Jobs are being made. A Job whose owner is gone is taken for garbage."""
        self._leaving: set[str] = set()

    @asynccontextmanager
    async def owner(self, run_uid: str, run: str) -> AsyncIterator[Object]:
        """What a Job of the run writes into its `ownerReferences`, while the Job is being made and not longer.

        The anchor is made when it is first needed, also again for a run that has ended.

        Raises:
            JobRejected: it may not be made, or somebody deletes it.
            NotNow: we delete it ourselves; the next one may be made.
        """
        if run_uid in self._leaving:
            raise NotNow(f"{labels.anchor_name(run_uid)} is being deleted")
        self._wanted[run_uid] += 1
        try:
            anchor = self._known.get(run_uid) or await self._ensure(run_uid, run)
            self._known[run_uid] = anchor
            yield _reference(anchor)
        finally:
            self._wanted -= Counter([run_uid])

    async def end(self, run_uid: str, *, cancelled: bool) -> None:
        """Delete a cancelled run's anchor and with it every Job; another's goes when its Jobs have gone."""
        self._known.pop(run_uid, None)
        anchor = await self._cluster.get(CONFIG_MAPS, labels.anchor_name(run_uid))
        if anchor is None:
            return
        mark: Object = {"metadata": {"labels": {labels.ENDED: "true"}}}
        await self._cluster.patch(CONFIG_MAPS, anchor["metadata"]["name"], mark)
        if cancelled:
            await self._delete(anchor)

    async def sweep(self, mirror: Mirror, ttl_s: int) -> None:
        """Of runs that have ended: let Jobs go in time, and anchors that hold none."""
        ended, _ = await self._cluster.read_all(CONFIG_MAPS, {"labelSelector": f"{labels.ENDED}=true"})
        for anchor in ended:
            run_uid = anchor["metadata"]["labels"][labels.RUN_UID]
            left = [job for job in mirror.jobs.everything() if job["metadata"]["labels"][labels.RUN_UID] == run_uid]
            for job in left:
                # One that has not ended is an export's, whose outcome is still to be stored.
                if has_ended(job) and "ttlSecondsAfterFinished" not in job["spec"]:
                    await self._cluster.patch(JOBS, job["metadata"]["name"], time_to_live(ttl_s))
            if not left and not self._wanted[run_uid]:
                await self._delete(anchor)

    async def tell(self, run_uid: str, kind: str, reason: str, message: str) -> None:
        """An event about the run; `kind` is Normal or Warning."""
        name = labels.anchor_name(run_uid)
        anchor = self._known.get(run_uid) or await self._cluster.get(CONFIG_MAPS, name)
        if anchor is None:
            return
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "namespace": self._namespace}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{name}."},
            "involvedObject": {**about, "uid": anchor["metadata"]["uid"]},
            "type": kind,
            "reason": reason,
            "message": message[:1000],
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": REPORTER},
            "reportingComponent": REPORTER,
        }
        await self._cluster.create(EVENTS, event)

    async def _ensure(self, run_uid: str, run: str) -> Object:
        name = labels.anchor_name(run_uid)
        marks = {"app.kubernetes.io/part-of": "pilot", labels.RUN: run, labels.RUN_UID: run_uid}
        wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": marks}}
        try:
            return await self._cluster.create(CONFIG_MAPS, wanted)
        except Refused as error:
            if error.status != 409:
                raise JobRejected(f"{error.reason}: {error}") from error
        found = await self._cluster.get(CONFIG_MAPS, name)
        if found is not None and not found["metadata"].get("deletionTimestamp"):
            return found
        if found is None or labels.ENDED in found["metadata"]["labels"]:
            raise NotNow(f"{name} is being deleted")
        raise JobRejected(f"Deleted: somebody deleted {name}, which owns the Jobs of the run")

    async def _delete(self, anchor: Object) -> None:
        metadata = anchor["metadata"]
        run_uid = metadata["labels"][labels.RUN_UID]
        self._leaving.add(run_uid)
        self._known.pop(run_uid, None)
        try:
            await self._cluster.delete(CONFIG_MAPS, metadata["name"], metadata["uid"], "Foreground")
        finally:
            self._leaving.discard(run_uid)


def _reference(anchor: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": anchor["metadata"]["name"],
        "uid": anchor["metadata"]["uid"],
        "controller": False,
        "blockOwnerDeletion": False,
    }


def time_to_live(seconds: int) -> Object:
    """The change that lets a Job go so long after its end."""
    return {"spec": {"ttlSecondsAfterFinished": seconds}}
