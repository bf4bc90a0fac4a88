"""Clients whose Jobs cannot work: the run says which, why and what to do, and with a quorum it ends without them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cluster.release import release
from deployments import run_document

# One attempt: what is looked at is what the first one ended with.
PARTICIPATION = {
    "quorum": 3,
    "quorum_per_task": 1,
    "grace_s": 8,
    "start_deadline_s": 120,
    "stall_s": 120,
    "deadline_s": 240,
    "attempts": 1,
}

BAD = {
    "no-image": ("ErrImagePull", "there-is-none", "Next: correct the client's image"),
    "no-node": ("Unschedulable", "Insufficient nvidia.com/gpu", "Next: let the client ask for less"),
    "no-memory": ("OOMKilled", "limit of 20Mi", "Next: raise the client's memory limit"),
    "bad-data": ("told_to", "exit with 65"),
}
"""What the status must say: the cause, and what to do where the cluster's word does not."""

ADDRESSES = {"PILOT_URL": "aggregator", "PILOT_REGISTRY_URL": "registry"}


@pytest.fixture(scope="module")
def deployed(cluster, tmp_path_factory):
    with release(cluster, "pilot-bad-clients", tmp_path_factory.mktemp("bad")) as made:
        made.faults(bad_data={"exit": {"*": 65}})
        made.install("standin", "bad-clients")
        made.forward()
        yield made


@pytest.fixture(scope="module")
def first_round(deployed):
    """The run's clients as its status showed them, each at the time when it was lost."""
    seen = {}

    def look():
        run = deployed.aggregator.run("bad")
        for client in run.status.clients:
            if client.reason or client.message:
                seen.setdefault(client.name, {})[client.state] = f"{client.reason} {client.message}"
        return run.status.phase in ("Succeeded", "Failed") and run

    deployed.aggregator.create_run(run_document("bad", rounds=["plain"], participation=PARTICIPATION))
    run = deployed.eventually(look, within_s=240)
    return run, seen


def test_with_a_quorum_the_run_succeeds_and_says_that_it_is_partial(deployed, first_round):
    run, _ = first_round
    assert run.status.phase == "Succeeded", deployed.explain()
    (partial,) = [c for c in run.status.conditions if c.type == "Partial"]
    assert partial.reason == "ClientLost"
    assert all(client in partial.message for client in BAD)


@pytest.mark.parametrize("client", BAD)
def test_the_status_says_why_a_client_could_not_work(deployed, first_round, client):
    _, seen = first_round
    told = " ".join(seen.get(client, {}).values())
    assert all(words in told for words in BAD[client]), f"{client}: {seen.get(client)}\n{deployed.explain()}"


@pytest.mark.parametrize("client", BAD)
def test_the_ledger_counts_only_who_answered(deployed, first_round, client):
    entries = {entry.client: entry for entry in deployed.aggregator.round("bad", 1).ledger.entries}
    assert not entries[client].counted
    assert entries[client].reason in ("Failed", "Lost", "Late")
    assert all(entries[name].counted for name in ("vqa-1", "vqa-2", "cap-1"))


@pytest.mark.parametrize("client", ["no-image", "no-node"])
def test_the_command_line_says_why_too(deployed, first_round, tmp_path, client):
    """Of the round that evaluates, which ended without them as well."""
    (tmp_path / "key").write_text(deployed.key("viewer"))
    told = {name: deployed.url(service) for name, service in ADDRESSES.items()}
    command = [str(Path(sys.executable).with_name("pilot")), "describe", "client", f"bad/{client}", "-o", "json"]
    environment = {**os.environ, **told, "PILOT_TOKEN_FILE": str(tmp_path / "key")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert found["rounds"]["1"]["counted"] is False
    assert all(words in found["now"]["message"] for words in BAD[client]), found["now"]
