"""The aggregator with a thousand client Jobs on a cluster: what it asks of the cluster, and how soon it knows and acts.

    make bench-cluster

Pods are on simulated nodes with a GPU for each; one process acts for all clients (tests/cluster/crowd.py). Everything
shares one machine: cluster, services, clients. The aims: memory at most 300 MiB, p95 at most 2 s from a pod that works
to the aggregator that knows, at most 3 s from the last update to the published round, the merge apart.
"""

import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import httpx
from pilot_proto.timeline import RoundTimeline
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from cluster.crowd import Crowd, crowd, install, simulated
from cluster.kubectl import Cluster
from cluster.release import Release, brief_run, release

CLIENTS = 1000
GPUS_OF_A_NODE = 8
RUN = "crowd"
PATIENT = {"quorum": "100%", "start_deadline_s": 1800, "stall_s": 1800, "deadline_s": 1800}
ROUND_S = 1500
CALLS, TURNS = "pilot_kubernetes_calls_total", "pilot_reconcile_seconds_bucket"
Labels = tuple[str, ...]

PROCESSES = """
import json, os
from pathlib import Path
found, tick = [], os.sysconf("SC_CLK_TCK")
for folder in Path("/proc").glob("[0-9]*"):
    if folder.name == str(os.getpid()):
        continue
    said = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    words = (folder / "cmdline").read_text().split("\\0")
    peak = int(said.get("VmHWM", "0 kB").split()[0]) / 1024
    found.append((" ".join(words)[:80], sum(map(int, fields[11:15])) / tick, peak))
print(json.dumps(found))
"""
"""Command, CPU seconds with those of its children that have ended, and peak MiB, of each process of a pod."""


def processes(made: Release) -> list[tuple[str, float, float]]:
    """What runs in the aggregator's pod."""
    told = made.kubectl("exec", made.pod("aggregator"), "--", "python", "-c", PROCESSES)
    return [tuple(each) for each in json.loads(told)]


def figures(made: Release, name: str, *by: str) -> dict[Labels, float]:
    """The samples of one of the aggregator's figures, by some labels."""
    text = httpx.get(f"{made.url('aggregator')}/metrics", timeout=30).raise_for_status().text
    found: dict[Labels, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name:
                found[tuple(sample.labels[label] for label in by)] += sample.value
    return found


def since(after: dict[Labels, float], before: dict[Labels, float]) -> dict[Labels, float]:
    return {key: value - before.get(key, 0.0) for key, value in after.items()}


def quantile(buckets: dict[Labels, float], share: float) -> float:
    """Of a histogram, even within its buckets."""
    total, below, edge = buckets[("+Inf",)], 0.0, 0.0
    for bound, count in sorted((float(label), count) for (label,), count in buckets.items()):
        if count >= share * total:
            return bound if count == below else edge + (bound - edge) * (share * total - below) / (count - below)
        below, edge = count, bound
    return edge


def told(made: Release) -> Iterator[tuple[str, dict]]:
    """Every event of the run, which has ended: so does the stream."""
    headers = {"Authorization": f"Bearer {made.key('operator')}"}
    address = f"{made.url('aggregator')}/api/v1alpha1/runs/{RUN}/events"
    with httpx.stream("GET", address, headers=headers, timeout=60) as answer:
        kind = ""
        for line in answer.iter_lines():
            name, _, text = line.partition(": ")
            if name == "event":
                kind = text
            elif name == "data":
                yield kind, json.loads(text)


def delays(made: Release, actors: Crowd) -> list[float]:
    """From each pod at work to the aggregator's note of it, sorted."""
    noted = {}
    for kind, event in told(made):
        if kind == "AttemptStarted":
            noted[event["round"], event["client"]] = datetime.fromisoformat(event["at"]).timestamp()
    return sorted(noted[key] - at for key, at in actors.at_work.items() if key in noted and key[0] == 1)


def main() -> None:
    """One round, and what it took."""
    cluster = Cluster(Path(os.environ["PILOT_TEST_KUBECONFIG"]), Path(tempfile.mkdtemp()))
    if (gpus := simulated(cluster) * GPUS_OF_A_NODE) < CLIENTS:
        sys.exit(f"{gpus} simulated GPUs, and {CLIENTS} clients want one each: cluster.sh fake-nodes 125")
    with tempfile.TemporaryDirectory() as folder, release(cluster, "pilot-crowd", Path(folder)) as made:
        began = time.monotonic()
        install(made, CLIENTS)
        print(f"installed for {CLIENTS} clients in {time.monotonic() - began:.0f} s", flush=True)
        with crowd(made) as actors:
            measure(made, actors)


def measure(made: Release, actors: Crowd) -> None:
    made.aggregator.create_run(brief_run(RUN, rounds=["plain"], advance="manual", participation=PATIENT))
    made.eventually(lambda: actors.check() or outline(made).published == 0)
    before, idle = processes(made), figures(made, CALLS, "method", "status")
    turns = figures(made, TURNS, "le")
    made.aggregator.trigger(RUN, "end")
    made.eventually(lambda: actors.check() or outline(made).phase in ("Succeeded", "Failed"), ROUND_S)
    assert outline(made).phase == "Succeeded", made.explain()
    timeline = made.aggregator.timeline(RUN, 1)
    after = processes(made)
    calls = since(figures(made, CALLS, "method", "status"), idle)
    tell_round(timeline, actors)
    tell_cluster(calls)
    waits = delays(made, actors)
    print(
        f"from a pod at work to the aggregator's note of it: p50 {waits[len(waits) // 2]:.2f} s,"
        f" p95 {waits[int(len(waits) * 0.95)]:.2f} s, at most {waits[-1]:.2f} s ({len(waits)} pods)"
    )
    spent = since(figures(made, TURNS, "le"), turns)
    print(f"one look at the run and what follows from it: p95 {quantile(spent, 0.95):.2f} s ({spent['+Inf',]:.0f})")
    used = sum(cpu for _, cpu, _ in after) - sum(cpu for _, cpu, _ in before)
    print(f"aggregator: {used:.0f} s of a core, {used / CLIENTS * 1000:.0f} ms for each Job")
    for command, _, peak in sorted(after, key=lambda process: -process[2]):
        print(f"  at its peak {peak:4.0f} MiB: {command}")


def outline(made: Release):  # noqa: ANN201
    """The run without its clients, whom to list for a thousand is work."""
    (run,) = made.aggregator.runs().items
    return run.status


def tell_round(timeline: RoundTimeline, actors: Crowd) -> None:
    """How the round went, and what came after its last update."""
    wall = (timeline.published_at - timeline.opened_at).total_seconds()
    seconds = sorted(actors.seconds)
    print(f"round of {CLIENTS} Jobs: {wall:.0f} s; a client's part {seconds[len(seconds) // 2]:.2f} s (median)")
    done = (timeline.sealed_at, timeline.measured_at, timeline.planned_at, timeline.merged_at, timeline.published_at)
    moments = [actors.last_update, *(at.timestamp() for at in done)]
    took = (later - earlier for earlier, later in pairwise(moments))
    steps = dict(zip(("seal", "measure", "plan", "merge", "publish"), took, strict=True))
    apart = sum(steps.values()) - steps["merge"]
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in steps.items())
    print(f"last update to the published round: {apart:.2f} s apart from the merge ({parts})")


def tell_cluster(calls: dict[Labels, float]) -> None:
    total = sum(calls.values())
    parts = ", ".join(
        f"{method} {status} {count:.0f}" for (method, status), count in sorted(calls.items()) if count > 0
    )
    print(f"calls of the Kubernetes API: {total / CLIENTS:.2f} for each Job ({parts})")


if __name__ == "__main__":
    main()
