"""Two aggregators on one Postgres, with an S3 server elsewhere and TLS everywhere: one leads, and another follows."""

import json

import pytest
from cluster.release import Release, brief_run
from deployments import outcome
from pilot_aggregator.jobs.kubernetes.labels import LEADS
from pilot_aggregator.jobs.kubernetes.signpost import pod_of
from pilot_proto.boundaries import Boundary

FIGURES = """
from urllib.request import urlopen
print(urlopen("https://localhost:8600/metrics").read().decode())
"""


def leader(release: Release) -> str:
    """Who leads, as the label says."""
    (pod,) = [pod for pod in release.pods("aggregator") if LEADS in pod["metadata"]["labels"]]
    return str(pod["metadata"]["name"])


def holder(release: Release) -> tuple[str, int]:
    """Who leads, and in which term, as the Lease says."""
    spec = json.loads(release.kubectl("get", "lease", "pilot-aggregator", "-o", "json"))["spec"]
    return pod_of(spec["holderIdentity"]), spec["leaseTransitions"]


@pytest.fixture(scope="module")
def undisturbed(two_aggregators: Release):
    run = two_aggregators.run(brief_run("undisturbed"))
    assert run.status.phase == "Succeeded", two_aggregators.explain()
    return outcome(two_aggregators, "undisturbed")


def test_both_are_ready_and_everything_says_who_leads(two_aggregators: Release):
    pods = {pod["metadata"]["name"] for pod in two_aggregators.pods("aggregator")}
    assert len(pods) == 2
    assert two_aggregators.ready("aggregator") == pods
    leads = two_aggregators.eventually(lambda: leader(two_aggregators))
    assert holder(two_aggregators)[0] == leads
    for name in pods:
        figures = two_aggregators.kubectl("exec", name, "--", "python", "-c", FIGURES)
        assert f"pilot_aggregator_leads {float(name == leads)}" in figures
    slices = two_aggregators.cluster.items(
        "endpointslices", "kubernetes.io/service-name=pilot-aggregator", namespace=two_aggregators.namespace
    )
    led_to = [endpoint["targetRef"]["name"] for part in slices for endpoint in part["endpoints"] or []]
    assert led_to == [leads]


def test_helm_test_passes_over_tls(two_aggregators: Release):
    assert "Phase:          Succeeded" in two_aggregators.helm("test", "pilot", "--logs")


def test_a_leader_that_is_killed_is_followed_and_the_same_bytes_are_published(two_aggregators: Release, undisturbed):
    two_aggregators.aggregator.create_run(brief_run("killed", advance="manual"))
    two_aggregators.eventually(lambda: two_aggregators.aggregator.run("killed").status.published == 0)
    first, term = holder(two_aggregators)
    two_aggregators.arm(Boundary.JOB_STARTED)
    two_aggregators.aggregator.trigger("killed", "end")
    two_aggregators.eventually(lambda: two_aggregators.stopped_at(Boundary.JOB_STARTED))
    two_aggregators.kubectl("delete", "pod", first, "--grace-period=0", "--force")
    two_aggregators.eventually(lambda: holder(two_aggregators)[1] > term)
    run = two_aggregators.wait("killed")
    assert run.status.phase == "Succeeded", two_aggregators.explain()
    assert run.status.conditions == ()
    assert outcome(two_aggregators, "killed") == undisturbed
    assert leader(two_aggregators) == holder(two_aggregators)[0]


def test_the_leaders_node_may_be_drained_and_the_other_leads_at_once(two_aggregators: Release):
    first, term = holder(two_aggregators)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": first}}
    path = f"/api/v1/namespaces/{two_aggregators.namespace}/pods/{first}/eviction"
    two_aggregators.eventually(lambda: len(two_aggregators.ready("aggregator")) == 2)
    two_aggregators.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(eviction))
    two_aggregators.eventually(lambda: holder(two_aggregators)[1] == term + 1)
    assert holder(two_aggregators)[0] != first
    assert two_aggregators.aggregator.run("killed").status.phase == "Succeeded"


def test_an_upgrade_replaces_both_and_ends(two_aggregators: Release):
    before = {pod["metadata"]["uid"] for pod in two_aggregators.pods("aggregator")}
    two_aggregators.install("standin", "outside", aggregator_podAnnotations_upgraded="once")
    after = {pod["metadata"]["uid"] for pod in two_aggregators.pods("aggregator")}
    assert len(after) == 2
    assert not before & after
    assert leader(two_aggregators) == two_aggregators.eventually(lambda: holder(two_aggregators)[0])
