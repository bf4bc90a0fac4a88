"""Jobs of a Kubernetes cluster, behind the port. Its event loop runs in a thread of its own."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client.core import CounterMetricFamily, Metric

from pilot_aggregator.jobs.backend import JobConflict, JobRejected, JobRequest, JobState, Rendered, StatePlace
from pilot_aggregator.jobs.kubernetes import labels
from pilot_aggregator.jobs.kubernetes.anchors import Anchors, time_to_live
from pilot_aggregator.jobs.kubernetes.api import EVENTS, JOBS, PODS, Cluster, Kind, NotNow, Refused
from pilot_aggregator.jobs.kubernetes.listing import Listing
from pilot_aggregator.jobs.kubernetes.mirror import Mirror, Shelf
from pilot_aggregator.jobs.kubernetes.render import render
from pilot_aggregator.jobs.kubernetes.state_volume import state_place
from pilot_aggregator.jobs.kubernetes.templates import JobTemplates, Object

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S = 60.0
FIRST_LIST_S = 5.0
SWEEP_S = 300.0


class KubernetesBackend:
    """Makes Jobs from templates, and follows them by one list and watch for each kind of object."""

    calls_at_once = 16

    def __init__(
        self,
        templates: JobTemplates,
        *,
        kubeconfig: Path | None = None,
        ttl_s: int = 3600,
        fence: Callable[[], int] = lambda: 0,
    ) -> None:
        """`ttl_s` is how long a Job and its log are kept once its outcome is stored; `fence` is the present term.

        Raises:
            OSError: there is no way to a cluster.
        """
        self.templates, self._ttl_s, self._fence = templates, ttl_s, fence
        self._namespace = templates.spec.namespace
        self.mirror = Mirror()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kubernetes", daemon=True)
        self._thread.start()
        try:
            self.cluster = self._do(Cluster.connect(self._namespace, kubeconfig))
        except OSError:
            self._end_loop()
            raise
        self._anchors = Anchors(self.cluster, self._namespace)
        self._tasks: set[asyncio.Future[Any]] = set()
        self.listings: list[Listing] = []
        self._asked = False
        self._may_not_ask = False
        """About pods: the permission is not needed, and few give it."""
        self._loop.call_soon_threadsafe(self._follow)

    def render(self, request: JobRequest) -> Rendered:
        template = self.templates.of(request.client)
        if template is None:
            known = ", ".join(sorted(self.templates.spec.templates))
            raise JobRejected(f"NoTemplate: there is no Job template for {request.client!r}, only for {known}")
        return render(request, template, self._namespace)

    def state_place(self, job: Rendered) -> StatePlace:
        return state_place(job)

    def create(self, name: str, job: Rendered) -> None:
        self._do(self._create(name, job))

    def try_out(self, name: str, job: Rendered) -> str:
        return self._do(self._try_out(job))

    def observe(self, names: list[str]) -> dict[str, JobState]:
        if not self._asked:
            # A cluster that answers does so in a moment, which is no reason to call anything unknown.
            self._asked = self.mirror.jobs.listed.wait(FIRST_LIST_S) and self.mirror.pods.listed.wait(FIRST_LIST_S)
        if unknown := self.mirror.unknown():
            return dict.fromkeys(names, unknown)
        return {name: state for name in names if (state := self._state(name))}

    def delete(self, name: str) -> None:
        self._do(self._delete(name))

    def settle(self, name: str) -> None:
        self._start(self._settle(name))

    def end_run(self, run_uid: str, *, cancelled: bool) -> None:
        self._do(self._anchors.end(run_uid, cancelled=cancelled))

    def logs(self, name: str) -> str:
        return self._do(self._logs(name))

    def tell(self, run_uid: str, kind: str, reason: str, message: str) -> None:
        self._start(self._anchors.tell(run_uid, kind, reason, message))

    def figures(self) -> Iterable[Metric]:
        calls = CounterMetricFamily(
            "pilot_kubernetes_calls", "Calls of the Kubernetes API; status 0 is no answer", labels=["method", "status"]
        )
        for (method, status), count in list(self.cluster.calls.items()):
            calls.add_metric([method, str(status)], count)
        lists = CounterMetricFamily("pilot_kubernetes_lists", "Full lists of one kind of object")
        lists.add_metric([], sum(listing.lists for listing in self.listings))
        breaks = CounterMetricFamily("pilot_kubernetes_watch_breaks", "Lists and watches that failed")
        breaks.add_metric([], sum(listing.breaks for listing in self.listings))
        return calls, lists, breaks

    def check(self) -> None:
        if unknown := self.mirror.unknown():
            raise OSError(unknown.message)

    def sweep(self) -> None:
        """Clear up after runs that have ended; it is also done every few minutes."""
        self._do(self._anchors.sweep(self.mirror, self._ttl_s))

    def close(self) -> None:
        """Jobs go on."""
        self._do(self._shut_down())
        self._end_loop()

    # -- in the event loop

    def _follow(self) -> None:
        ours = {"labelSelector": labels.SELECTOR}
        watched: list[tuple[Kind, Mapping[str, str], Shelf]] = [
            (JOBS, ours, self.mirror.jobs),
            (PODS, ours, self.mirror.pods),
            (EVENTS, {"fieldSelector": "type=Warning"}, self.mirror.warnings),
        ]
        self.listings = [Listing(_Of(self.cluster, kind, query, shelf), shelf) for kind, query, shelf in watched]
        for listing in self.listings:
            self._keep(self._loop.create_task(listing.run()))
        self._keep(self._loop.create_task(self._sweep()))

    async def _create(self, name: str, job: Rendered) -> None:
        marks = job["metadata"]["labels"]
        async with self._anchors.owner(marks[labels.RUN_UID], marks[labels.RUN]) as owner:
            self.mirror.jobs.add(await self._made(name, job, owner))

    async def _made(self, name: str, job: Rendered, owner: Object) -> Object:
        marks, notes = job["metadata"]["labels"], job["metadata"]["annotations"]
        # These two are not of the Job as it was rendered: an owner has its uid from the cluster, and a successor that
        # finds the Job has another fence.
        bound = {
            **job["metadata"],
            "annotations": {**notes, labels.FENCE: str(self._fence())},
            "ownerReferences": [owner],
        }
        try:
            return await self.cluster.create(JOBS, {**job, "metadata": bound})
        except Refused as error:
            if error.status != 409:
                raise JobRejected(f"{error.reason}: {error}") from error
        return await self._adopt(name, marks[labels.RUN_UID], notes[labels.SPEC_HASH])

    async def _adopt(self, name: str, run_uid: str, spec_hash: str) -> Object:
        """The Job of this name, if it is the one that we wanted to make."""
        found = await self.cluster.get(JOBS, name)
        if found is None or found["metadata"].get("deletionTimestamp"):
            raise NotNow(f"Job {name} is being deleted")
        metadata = found["metadata"]
        if metadata.get("labels", {}).get(labels.RUN_UID) != run_uid:
            raise JobConflict(f"Conflict: a Job named {name} exists in {self._namespace} that is not of this run")
        if metadata.get("annotations", {}).get(labels.SPEC_HASH) != spec_hash:
            raise JobConflict(f"Conflict: the Job {name} in {self._namespace} is not the one that was stored")
        return found

    async def _try_out(self, job: Rendered) -> str:
        # A Job is accepted whatever its pods would meet: Pod Security, quota, a ServiceAccount that is missing.
        template = job["spec"]["template"]
        name = {"name": job["metadata"]["name"], "namespace": self._namespace}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**template["metadata"], **name},
            "spec": template["spec"],
        }
        for kind, thing in ((JOBS, job), (PODS, pod))[: 1 if self._may_not_ask else 2]:
            try:
                await self.cluster.create(kind, thing, dry_run=True)
            except Refused as error:
                if kind is PODS and _may_not(error):
                    self._may_not_ask = True
                elif error.status != 409:
                    return f"{error.reason}: {error}"
        return ""

    async def _delete(self, name: str) -> None:
        job = self.mirror.job(name) or await self.cluster.get(JOBS, name)
        if job is not None and labels.RUN_UID in job["metadata"].get("labels", {}):
            await self.cluster.delete(JOBS, name, job["metadata"]["uid"], "Background")

    async def _settle(self, name: str) -> None:
        job = self.mirror.job(name)
        if job is None or "ttlSecondsAfterFinished" in job["spec"]:
            return
        try:
            await self.cluster.patch(JOBS, name, time_to_live(self._ttl_s))
        except Refused as error:
            if error.status != 404:
                raise

    async def _logs(self, name: str) -> str:
        pods = sorted(self.mirror.pods.of(name), key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        if not pods:
            return ""
        try:
            return await self.cluster.log(pods[-1]["metadata"]["name"], labels.CONTAINER)
        except Refused:
            # A container that has not started has printed nothing, and a pod that has gone tells nothing.
            return ""

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            if self.mirror.unknown() is None:
                await _quietly(self._anchors.sweep(self.mirror, self._ttl_s))

    async def _shut_down(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.cluster.close()

    # -- between threads

    def _state(self, name: str) -> JobState | None:
        job = self.mirror.job(name)
        if job is None:
            # The mirror may lag behind: that something is gone is worth a question.
            job = self._do(self.cluster.get(JOBS, name))
            if job is not None:
                self.mirror.jobs.add(job)
        return self.mirror.state(job) if job else None

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the loop do it, and wait."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Have the loop do it in time."""
        self._loop.call_soon_threadsafe(lambda: self._keep(self._loop.create_task(_quietly(work))))

    def _keep(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()


class _Of:
    """One kind of object, as `Listing` wants it."""

    def __init__(self, cluster: Cluster, kind: Kind, query: Mapping[str, str], shelf: Shelf) -> None:
        self._cluster, self._kind, self._query, self._shelf = cluster, kind, query, shelf

    async def read_all(self) -> tuple[list[Object], str]:
        return await self._cluster.read_all(self._kind, self._query, self._shelf.keep)

    def watch(self, version: str, timeout_s: float) -> AsyncIterator[Object]:
        return self._cluster.watch(self._kind, self._query, version, timeout_s)


async def _quietly(work: Coroutine[Any, Any, Any]) -> None:
    """Work that nobody waits for; what it misses, the next sweep or nobody makes up for."""
    try:
        await work
    except Exception as error:
        log.warning("left undone in the cluster: %s", error)


def _may_not(error: Refused) -> bool:
    """Whether it is the aggregator that lacks a permission, as in a namespace where it may not ask about pods."""
    return error.status == 403 and "cannot create resource" in str(error)
