"""A release over time: upgraded in mid-run, rolled back, uninstalled, and installed again over what it kept."""

import pytest
from cluster.release import NAME, Release, release
from deployments import outcome, run_document

PARTICIPATION = {"grace_s": 1, "start_deadline_s": 120, "stall_s": 120, "deadline_s": 240}


@pytest.fixture(scope="module")
def deployed(cluster, tmp_path_factory):
    with release(cluster, "pilot-lifecycle", tmp_path_factory.mktemp("lifecycle")) as made:
        made.faults()
        made.install("standin")
        made.forward()
        yield made


def adapters(deployed: Release):
    """Every version that the registry lists, by repository and commit."""
    page = deployed.registry.get("adapters", limit=100)
    return {(item["repo"], item["commit"]) for item in page["items"]}


@pytest.fixture(scope="module")
def undisturbed(deployed):
    run = deployed.run(run_document("undisturbed", participation=PARTICIPATION))
    assert run.status.phase == "Succeeded", deployed.explain()
    return outcome(deployed, "undisturbed")


def test_helm_test_passes(deployed):
    told = deployed.helm("test", NAME, "--logs")
    assert "Phase:          Succeeded" in told


def test_an_upgrade_and_a_rollback_in_the_middle_of_a_run_change_nothing_of_it(deployed, undisturbed):
    deployed.aggregator.create_run(run_document("upgraded", participation=PARTICIPATION, advance="manual"))
    deployed.eventually(lambda: deployed.aggregator.run("upgraded").status.published == 0)
    deployed.faults(cap_1={"hang": {"1": 10.0}})
    before = deployed.key("operator")
    deployed.aggregator.trigger("upgraded", "end")
    deployed.eventually(lambda: deployed.trainers("upgraded"))
    pod = deployed.cluster.items("pods", "app.kubernetes.io/component=aggregator", namespace=deployed.namespace)
    deployed.install("standin", aggregator_podAnnotations_upgraded="once")
    after = deployed.cluster.items("pods", "app.kubernetes.io/component=aggregator", namespace=deployed.namespace)
    assert pod[0]["metadata"]["uid"] != after[0]["metadata"]["uid"]
    assert deployed.key("operator") == before
    deployed.helm("rollback", NAME, "1", "--wait", "--timeout", "4m")
    run = deployed.wait("upgraded")
    assert run.status.phase == "Succeeded", deployed.explain()
    assert outcome(deployed, "upgraded") == undisturbed


def test_what_was_learnt_outlives_an_uninstall(deployed, undisturbed):
    kept, key = adapters(deployed), deployed.key("operator")
    told = deployed.helm("uninstall", NAME, "--wait")
    assert "kept due to the resource policy" in told
    for name in ("pilot-registry", "pilot-aggregator", "pilot-objectstore", "pilot-keys"):
        assert name in told
    deployed.install("standin")
    assert deployed.key("operator") == key
    assert adapters(deployed) == kept
    assert len(kept) > 0
    assert outcome(deployed, "undisturbed") == undisturbed
    assert deployed.aggregator.verify("undisturbed", 1).verdict == "identical"
