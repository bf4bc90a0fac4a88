"""What a run leaves when it ends: with the default retention no raw update stays readable, wherever it ended."""

import pytest
from deployments import harness, run_document
from pilot_client.errors import ApiError

RETENTION = {"raw_updates": "until-run-ends"}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    with harness(tmp_path_factory.mktemp("endings") / "d") as made:
        yield made


def raw_states(deployed, run):
    """Round to the states of its raw updates, as an admin sees them."""
    registry = deployed.deployment.registry("admin").transport
    items = registry.request("GET", "/api/v1alpha1/adapters", params={"run": run, "kind": "update"}).json()["items"]
    return {number: {i["state"] for i in items if i["round"] == number} for number in {i["round"] for i in items}}


def answered(deployed, name):
    run = deployed.aggregator.run(name)
    return [c.name for c in run.status.clients if run.status.round == 1 and c.state == "Answered"]


def spooled(deployed, run):
    """Copies of sealed inputs on the aggregator's disk."""
    return list((deployed.deployment.state / "aggregator" / "spool" / run.status.uid).rglob("*"))


def test_a_run_that_succeeds_leaves_no_raw_update(deployed):
    run = deployed.run(run_document("done", rounds=["plain"], retention=RETENTION))
    assert run.status.phase == "Succeeded", deployed.logs()
    assert raw_states(deployed, "done") == {0: {"deleted"}, 1: {"deleted"}, 2: {"deleted"}}
    assert not spooled(deployed, run)


def test_a_run_that_starts_from_another_ends_although_the_registry_knows_no_round_0_of_it(deployed):
    deployed.run(run_document("source", rounds=["plain"], retention=RETENTION))
    begun = {"run": "source", "round": 1}
    run = deployed.run(run_document("heir", rounds=["plain"], start_from=begun, retention=RETENTION))
    assert run.status.phase == "Succeeded", deployed.logs()
    assert set(raw_states(deployed, "heir")) == {1, 2}


def test_a_run_that_fails_leaves_no_raw_update_of_the_round_it_failed_in(deployed):
    late_and_refused = {"hang": {"1": 2.0}, "poison": {"1": "nan"}}
    deployed.faults(vqa_1=late_and_refused, vqa_2=late_and_refused)
    policy = {"quorum": "50%", "grace_s": 0}
    run = deployed.run(run_document("gone", rounds=["plain"], participation=policy, retention=RETENTION))
    deployed.faults()
    assert run.status.phase == "Failed"
    assert raw_states(deployed, "gone") == {0: {"deleted"}, 1: {"deleted"}}
    assert not spooled(deployed, run)


def test_a_run_can_be_cancelled_before_the_registry_has_heard_of_it(deployed):
    deployed.aggregator.create_run(run_document("never", retention=RETENTION))
    deployed.aggregator.cancel("never")
    assert deployed.wait("never").status.phase == "Cancelled", deployed.logs()
    with pytest.raises(ApiError):
        deployed.aggregator.pause("never")


def test_a_run_that_is_cancelled_at_work_leaves_no_raw_update(deployed):
    deployed.faults(vqa_1={"hang": {"1": 30.0}})
    deployed.aggregator.create_run(run_document("halted", retention=RETENTION))
    deployed.eventually(lambda: len(answered(deployed, "halted")) == 3)
    deployed.aggregator.cancel("halted")
    run = deployed.wait("halted")
    deployed.faults()
    assert run.status.phase == "Cancelled", deployed.logs()
    assert raw_states(deployed, "halted") == {0: {"deleted"}, 1: {"deleted"}}
    assert not spooled(deployed, run)


def test_after_publish_means_after_each_round_and_what_was_published_can_be_gone_on_from(deployed):
    policy = {"raw_updates": "after-publish"}
    deployed.aggregator.create_run(run_document("brief", advance="manual", retention=policy))
    deployed.aggregator.trigger("brief", 1)
    deployed.eventually(lambda: deployed.aggregator.run("brief").status.published == 1)
    deployed.eventually(lambda: raw_states(deployed, "brief") == {0: {"deleted"}, 1: {"deleted"}})
    assert deployed.aggregator.verify("brief", 1).verdict == "inputs_deleted"
    deployed.aggregator.cancel("brief")
    begun = {"start_from": {"run": "brief", "round": 1}, "evaluation": {"samples": 0}}
    assert deployed.run(run_document("brief-on", rounds=["plain"], **begun)).status.phase == "Succeeded", (
        deployed.logs()
    )


def test_forever_keeps_the_updates_and_with_them_the_proof(deployed):
    forever = {"retention": {"raw_updates": "forever"}, "evaluation": {"samples": 0}}
    run = deployed.run(run_document("kept", rounds=["plain"], **forever))
    assert run.status.phase == "Succeeded", deployed.logs()
    assert all("deleted" not in states for states in raw_states(deployed, "kept").values())
    assert deployed.aggregator.verify("kept", 1).verdict == "identical"
