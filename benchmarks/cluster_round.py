"""What a round costs on a cluster over the same round on the local backend: scheduling, container, import, work.

    make bench-cluster

Two clients of the digits really train for three rounds, both at once, first in processes of this machine and then in
pods of a cluster on this machine. Figures are seconds of a Job, means of all six; a pod's moments are those at which
the API server told of them.
"""

import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import httpx
import yaml
from pilot_client.aggregator import AggregatorClient
from pilot_digits.federation import write_federation
from pilot_proto.timeline import AttemptTimes, RoundTimeline

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from cluster import pods, torch_volume
from cluster.kubectl import Cluster, eventually
from cluster.release import release
from deployments import harness, outcome

CLIENTS = ["caption-1", "vqa-1"]
RUN_S = 600
PARTS = ("scheduling", "container start", "import", "work", "end")
Moments = Mapping[str, float]
Seen = dict[tuple[int, str], dict[str, float]]


class Watcher:
    """When each pod was scheduled, and when its container ran."""

    def __init__(self, api: httpx.Client, namespace: str) -> None:
        self.seen: Seen = defaultdict(dict)
        self.stopping = threading.Event()
        self._api, self._namespace = api, namespace
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        for _, pod in pods.events(self._api, self._namespace, self.stopping):
            labels, now = pod["metadata"]["labels"], time.time()
            moments = self.seen[int(labels["pilot.federated/round"]), labels["pilot.federated/client"]]
            if pod["spec"].get("nodeName"):
                moments.setdefault("scheduled", now)
            for status in pod["status"].get("containerStatuses", []):
                if {"running", "terminated"} & set(status["state"]):
                    moments.setdefault("running", now)


@contextmanager
def watching(cluster: Cluster, namespace: str, folder: Path):  # noqa: ANN201
    with pods.api_server(cluster.kubeconfig, folder) as api:
        watcher = Watcher(api, namespace)
        try:
            yield watcher
        finally:
            watcher.stopping.set()


def parts(attempt: AttemptTimes, published: float, moments: Moments) -> dict[str, float]:
    """How one Job's time divides; on the local backend it is scheduled when it is at work."""
    intended, reported = attempt.intended_at.timestamp(), attempt.reported_at.timestamp()
    running = moments.get("running", attempt.started_at.timestamp())
    scheduled = moments.get("scheduled", running)
    working = reported - sum(stage.seconds for stage in attempt.stages)
    edges = (intended, scheduled, running, working, reported, published)
    return dict(zip(PARTS, (late - early for early, late in pairwise(edges)), strict=True))


def rounds(aggregator: AggregatorClient, run: dict[str, Any]) -> list[RoundTimeline]:
    """Those in which clients train."""
    name, wanted = run["metadata"]["name"], run["spec"]["rounds"]
    return [aggregator.timeline(name, number + 1) for number in range(len(wanted))]


def summary(found: list[RoundTimeline], seen: Seen) -> dict[str, float]:
    """Means over all Jobs, and over all rounds."""
    jobs = [
        parts(attempt, each.published_at.timestamp(), seen.get((each.round, client.client), {}))
        for each in found
        for client in each.clients
        for attempt in client.attempts
    ]
    assert len(jobs) == len(CLIENTS) * len(found), "somebody was tried twice"
    walls = [(each.published_at - each.opened_at).total_seconds() for each in found]
    return {name: mean(job[name] for job in jobs) for name in PARTS} | {"the whole round": mean(walls)}


def until_done(aggregator: AggregatorClient, run: dict[str, Any]) -> None:
    name = run["metadata"]["name"]
    aggregator.create_run(run)
    eventually(lambda: aggregator.run(name).status.phase in ("Succeeded", "Failed"), RUN_S)
    assert aggregator.run(name).status.phase == "Succeeded"


def main() -> None:
    """The same run twice, and where its time went."""
    cluster = Cluster(Path(os.environ["PILOT_TEST_KUBECONFIG"]), Path(tempfile.mkdtemp()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        federation = write_federation("digits", folder / "scenes")
        run = yaml.safe_load((federation.parent / "run.yaml").read_text())
        run["spec"] |= {"clients": CLIENTS, "evaluation": {"samples": 0}}
        with harness(folder / "d", federation=federation, entry="pilot_trainer.program:run", jobs=len(CLIENTS)) as made:
            until_done(made.aggregator, run)
            local, here = summary(rounds(made.aggregator, run), {}), outcome(made, run["metadata"]["name"])
        with release(cluster, "pilot-round", folder) as there:
            torch_volume.install(there)
            there.forward()
            with watching(cluster, there.namespace, folder) as watcher:
                until_done(there.aggregator, run)
            found, digests = rounds(there.aggregator, run), outcome(there, run["metadata"]["name"])
            remote = summary(found, watcher.seen)
    assert digests == here, "the cluster published other bytes"
    print(f"{'':<16} {'local':>7} {'cluster':>8} {'more':>7}   seconds")
    for part in (*PARTS, "the whole round"):
        print(f"{part:<16} {local[part]:7.2f} {remote[part]:8.2f} {remote[part] - local[part]:+7.2f}")


if __name__ == "__main__":
    main()
