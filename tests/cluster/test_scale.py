"""A round of a thousand client Jobs that ask for GPUs, on simulated nodes; `crowd.py` acts for who is in their pods.

There are fewer GPUs than clients, and one Job is held as Kueue holds those that it has not admitted.
"""

import json
import os
from collections import Counter

import pytest
from cluster.crowd import crowd, install, simulated
from cluster.kubectl import Cluster
from cluster.release import Release, brief_run, release

pytestmark = pytest.mark.enable_socket

CLIENTS = 1000
GPUS_OF_A_NODE = 8
FEWEST_NODES = 100
HELD = "c-0007"
RUN = "crowd"
PATIENT = {"quorum": "100%", "start_deadline_s": 1200, "stall_s": 1200, "deadline_s": 1200}
ROUND_S = 400


@pytest.fixture(scope="module")
def gpus(cluster: Cluster) -> int:
    """How many there are on simulated nodes, which somebody has made before: fewer than clients."""
    nodes = simulated(cluster)
    if not nodes and "kwok" not in os.environ.get("PILOT_REQUIRE", ""):
        pytest.skip("no simulated nodes: cluster.sh fake-nodes 120")
    found = nodes * GPUS_OF_A_NODE
    assert FEWEST_NODES * GPUS_OF_A_NODE <= found < CLIENTS - 1, f"{nodes} simulated nodes"
    return found


@pytest.fixture(scope="module")
def deployed(cluster: Cluster, tmp_path_factory):
    with release(cluster, "pilot-crowd", tmp_path_factory.mktemp("crowd")) as made:
        # The last test sees the Jobs go.
        install(made, CLIENTS, aggregator_jobTtlSeconds="5")
        yield made


@pytest.fixture(scope="module")
def actors(deployed: Release):
    with crowd(deployed) as made:
        yield made


@pytest.fixture(scope="module")
def begun(deployed: Release, actors, gpus):
    """A round whose Jobs are all made, while nobody is at work yet."""
    deployed.aggregator.create_run(brief_run(RUN, rounds=["plain"], advance="manual", participation=PATIENT))
    deployed.eventually(lambda: actors.check() or deployed.aggregator.run(RUN).status.published == 0)
    actors.held.clear()
    deployed.aggregator.trigger(RUN, "end")
    suspend(deployed, deployed.eventually(lambda: job_of(deployed, HELD)), True)
    return deployed


def job_of(release: Release, client: str, number: int = 1) -> str:
    """The name of a client's Job in a round; nothing before it is made."""
    selector = f"pilot.federated/client={client},pilot.federated/round={number}"
    jobs = release.cluster.items("jobs", selector, namespace=release.namespace)
    return jobs[0]["metadata"]["name"] if jobs else ""


def suspend(release: Release, job: str, held: bool) -> None:
    """What Kueue does to a Job."""
    release.kubectl("patch", "job", job, "--type", "merge", "-p", json.dumps({"spec": {"suspend": held}}))


def states(release: Release) -> Counter[str]:
    """How many clients the run's API shows in which state."""
    return Counter(client.state for client in release.aggregator.run(RUN).status.clients)


def shown(release: Release, client: str):
    return next(each for each in release.aggregator.run(RUN).status.clients if each.name == client)


def test_every_client_is_shown_as_its_job_is(begun: Release, actors, gpus):
    expected = Counter(Running=gpus, Pending=CLIENTS - gpus - 1, Queued=1)
    begun.eventually(lambda: len(actors.at_work) > gpus, ROUND_S)
    begun.eventually(lambda: states(begun) == expected)
    waiting = [client for client in begun.aggregator.run(RUN).status.clients if client.state == "Pending"]
    assert {client.reason for client in waiting} == {"Unschedulable"}
    assert all("nvidia.com/gpu" in client.message for client in waiting)
    assert shown(begun, HELD).state == "Queued"
    assert shown(begun, HELD).message == "Suspended: waits to be let go"


def test_all_others_hand_in_and_the_round_waits_for_the_held_one(begun: Release, actors):
    actors.held.set()
    expected = Counter(Answered=CLIENTS - 1, Queued=1)
    # With whoever was at work in round 0.
    begun.eventually(lambda: actors.check() or actors.acted.total() == CLIENTS, ROUND_S)
    begun.eventually(lambda: states(begun) == expected)
    assert begun.aggregator.run(RUN).status.phase == "Training"


def test_when_it_is_let_go_the_round_is_published_with_everybody(begun: Release, actors):
    suspend(begun, job_of(begun, HELD), False)
    run = begun.wait(RUN)
    actors.check()
    assert run.status.phase == "Succeeded", begun.explain()
    assert run.status.conditions == ()
    entries = begun.aggregator.round(RUN, 1).ledger.entries
    assert len(entries) == CLIENTS
    assert all(entry.answered and entry.counted for entry in entries)
    assert actors.acted == {"exit 0": CLIENTS + 1}


def test_no_job_is_left(begun: Release):
    begun.eventually(lambda: not begun.cluster.items("jobs", "pilot.federated/run", namespace=begun.namespace))
