"""Clients by the hundred, in pods that run nothing (kwok): one process acts for each of them, as that client.

A pod on a simulated node is at work as soon as it is said to run. Its client's credential is what a kubelet would
mount: a token of its ServiceAccount for our audience, bound to this very pod, out of the TokenRequest API. With it the
protocol of the stand-in is carried out, and then the pod ends as its process would have ended.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import standin
from cluster import pods
from cluster.kubectl import Cluster
from cluster.pods import Pod, api_server
from cluster.release import Release
from pilot_client.aggregator import AggregatorClient
from pilot_client.registry import RegistryClient
from pilot_client.transport import Token, Transport

AUDIENCE = "pilot"
SIMULATED = "type=kwok"
"""The label of the simulated nodes."""
TASKS = ("caption", "vqa")
PATIENCE_S = 120
ONE_PART = 1 << 20
"""The small adapters of a stand-in go in one request each."""
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


def client_values(count: int) -> dict[str, Any]:
    """So many clients, as the chart's values; half of them of each task."""
    named = {f"c-{number:04d}": TASKS[number % len(TASKS)] for number in range(count)}
    return {
        "clients": [
            {
                "name": name,
                "task": task,
                "data": {"volume": {"configMap": {"name": name, "optional": True}}},
                "state": {"existingClaim": "none"},
            }
            for name, task in named.items()
        ]
    }


def install(release: Release, count: int, **more: str) -> None:
    """Pilot for so many clients, their pods on simulated nodes; `more` as in `Release.install`."""
    file = release.folder / "clients.yaml"
    file.write_text(json.dumps(client_values(count)))
    release.install("crowd", str(file.with_suffix("")), **more)
    release.forward()


def simulated(cluster: Cluster) -> int:
    """How many nodes are simulated."""
    return len(cluster.items("nodes", SIMULATED, namespace="default"))


@dataclass
class Crowd:
    """Whoever's pod begins is acted for, until the crowd is told to stop."""

    release: Release
    api: httpx.Client
    workers: int = 8
    held: threading.Event = field(default_factory=threading.Event)
    """Unset: pods begin, and nobody acts in them yet."""
    at_work: dict[tuple[int, str], float] = field(default_factory=dict)
    """Round and client to when its newest pod was seen to run, on this machine's clock."""
    last_update: float = 0.0
    """When the last update was answered."""
    acted: Counter[str] = field(default_factory=Counter)
    """Pods by how it went."""
    seconds: list[float] = field(default_factory=list)
    """What each took from its credential to its end."""

    def __post_init__(self) -> None:
        self._wire = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=2 * self.workers))
        self._pool = ThreadPoolExecutor(self.workers, "client")
        self._futures: list[Future[None]] = []
        self._seen: set[str] = set()
        self._gone: set[str] = set()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="pods", daemon=True)
        self.held.set()
        self._watcher.start()

    def check(self) -> None:
        """Raise what went wrong in the name of some client."""
        for future in self._futures:
            if future.done() and not future.cancelled():
                future.result()

    def stop(self) -> None:
        """Nobody is acted for any more."""
        self._stopping.set()
        self.held.set()
        self._pool.shutdown(cancel_futures=True)

    # -- pods as they begin

    def _watch(self) -> None:
        for kind, pod in pods.events(self.api, self.release.namespace, self._stopping):
            self._note(kind, pod)

    def _note(self, kind: str, pod: Pod) -> None:
        uid = pod["metadata"]["uid"]
        if kind == "DELETED":
            self._gone.add(uid)
        if uid in self._seen or pod["status"].get("phase") != "Running":
            return
        self._seen.add(uid)
        labels = pod["metadata"]["labels"]
        self.at_work[int(labels["pilot.federated/round"]), labels["pilot.federated/client"]] = time.time()
        self._futures.append(self._pool.submit(self._act, pod))

    # -- in the name of one client

    def _act(self, pod: Pod) -> None:
        self.held.wait()
        if self._stopping.is_set() or pod["metadata"]["uid"] in self._gone:
            return
        began = time.monotonic()
        code = self._attempt(pod)
        self.last_update = time.time()
        self._end(pod, code)
        self.seconds.append(time.monotonic() - began)
        self.acted[f"exit {code}"] += 1

    def _attempt(self, pod: Pod) -> int:
        told = {entry["name"]: entry.get("value", "") for entry in pod["spec"]["containers"][0]["env"]}
        token = Token(value=self._credential(pod))
        aggregator, registry = (
            Transport(self.release.url(service), token, patience_s=PATIENCE_S, transport=self._wire)
            for service in ("aggregator", "registry")
        )
        view = AggregatorClient(aggregator).assignment(
            told["PILOT_RUN"], int(told["PILOT_ROUND"]), told["PILOT_CLIENT"]
        )
        state = self.release.folder / "states" / told["PILOT_CLIENT"]
        incarnation = pod["metadata"]["uid"]
        return standin.Attempt(
            view, RegistryClient(registry), AggregatorClient(aggregator), state, incarnation, ONE_PART
        ).run()

    def _credential(self, pod: Pod) -> str:
        metadata = pod["metadata"]
        bound = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
        spec = {"audiences": [AUDIENCE], "expirationSeconds": 3600, "boundObjectRef": bound}
        path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{pod['spec']['serviceAccountName']}/token"
        document = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = self.api.post(path, json=document).raise_for_status()
        token: str = answer.json()["status"]["token"]
        return token

    def _end(self, pod: Pod, code: int) -> None:
        """As a kubelet reports it."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ended = {"exitCode": code, "finishedAt": now, "startedAt": pod["status"]["startTime"], "reason": "Completed"}
        containers = [
            {**container, "ready": False, "started": False, "state": {"terminated": ended}}
            for container in pod["status"]["containerStatuses"]
        ]
        status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": containers}
        path = f"{pods.path(self.release.namespace)}/{pod['metadata']['name']}/status"
        self.api.patch(path, content=json.dumps({"status": status}), headers=MERGE_PATCH).raise_for_status()


@contextmanager
def crowd(release: Release, workers: int = 8) -> Iterator[Crowd]:
    """Somebody who acts for every client of a release, as long as the block lasts."""
    with api_server(release.cluster.kubeconfig, release.folder) as api:
        made = Crowd(release, api, workers)
        try:
            yield made
        finally:
            made.stop()
