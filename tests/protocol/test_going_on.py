"""Runs that start from others, in a federation that changes while the services run."""

import pytest
import yaml
from deployments import harness, run_document, write_federation
from pilot_client.errors import ApiError

CLIENTS = {"vqa-1": "vqa", "vqa-2": "vqa", "cap-1": "caption"}
PILOT = {"method": "pilot", "evaluation": {"samples": 0}}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("going") / "d"
    folder.mkdir()
    with harness(folder, federation=write_federation(folder, CLIENTS)) as made:
        run = made.run(run_document("first", rounds=["stage-1", "stage-2"], **PILOT))
        assert run.status.phase == "Succeeded", made.logs()
        yield made


@pytest.fixture(autouse=True)
def file(deployed):
    """The federation file; it is put back after each test."""
    found = deployed.deployment.federation
    before = found.read_text()
    yield found
    found.write_text(before)
    assert deployed.aggregator.federation()["status"]["error"] == ""


def rewrite(file, change):
    document = yaml.safe_load(file.read_text())
    change(document["spec"])
    file.write_text(yaml.safe_dump(document))


def with_counting(deployed, file):
    def change(spec):
        spec["tasks"].append({"name": "counting"})
        spec["clients"].append({"name": "count-1", "task": "counting", "data": "data/count-1"})

    rewrite(file, change)
    deployed.deployment.make_keys()


def going_on(name, **spec):
    begun = {"start_from": {"run": "first", "round": 2}, "rounds": ["stage-2"]}
    return run_document(name, **{**PILOT, **begun, **spec})


def test_a_fourth_client_with_a_new_task_joins_and_the_others_go_on(deployed, file):
    with_counting(deployed, file)
    dry = deployed.aggregator.create_run(going_on("second"), dry_run=True)
    continues = dry["continues"]
    assert (continues["new_clients"], continues["new_tasks"]) == (["count-1"], ["counting"])
    starts = {start["client"]: start for start in continues["clients"]}
    assert starts["vqa-1"]["private_state"] == "stage-2 of round 2"
    assert starts["vqa-1"]["text"] == "first/client-vqa-1-text"
    new = {"client": "count-1", "task": "counting", "program": "stage-1", "private_state": ""}
    assert starts["count-1"] == {**new, "connector": "first/base-connector", "text": "first/base-text"}
    assert any("do it in round 1: count-1" in line for line in dry["warnings"])

    run = deployed.run(going_on("second"))
    assert run.status.phase == "Succeeded", deployed.logs()
    assert run.status.conditions == ()
    assert run.status.started == {"count-1": ("client",)}
    round = deployed.aggregator.round("second", 1)
    assert "second/task-counting-connector" in round.outputs
    assert {e.client: e.started for e in round.ledger.entries if e.started} == {"count-1": ("client",)}
    assert all(entry.counted for entry in round.ledger.entries)


def test_clients_and_a_task_may_be_left_out_and_come_back_with_their_state(deployed, file):
    run = deployed.run(going_on("fewer", clients=["vqa-1", "vqa-2"]))
    assert run.status.phase == "Succeeded", deployed.logs()
    assert deployed.aggregator.round("fewer", 1).ledger.entries[0].client == "vqa-1"
    back = {"start_from": {"run": "fewer", "round": 1}}
    starts = deployed.aggregator.create_run(going_on("again", **back), dry_run=True)["continues"]
    assert starts["new_clients"] == ["cap-1"]
    (cap,) = [start for start in starts["clients"] if start["client"] == "cap-1"]
    assert (cap["program"], cap["private_state"]) == ("stage-2", "stage-2 of round 2")
    assert deployed.run(going_on("again", **back)).status.phase == "Succeeded", deployed.logs()


def test_another_rule_may_follow(deployed, file):
    everybody = {"merge": {"text": {"rule": "mean"}}}
    assert deployed.run(going_on("mean", **everybody)).status.phase == "Succeeded", deployed.logs()
    assert "mean/global-text" in deployed.aggregator.round("mean", 1).outputs
    # What stands before it is what its source left, and not its source's story.
    zero = deployed.aggregator.round("mean", 0)
    assert zero.outputs == deployed.aggregator.round("first", 2).outputs
    assert (zero.state, zero.ledger, zero.plan) == ("Published", None, None)
    assert deployed.aggregator.verify("mean", 0).verdict == "nothing_merged"
    assert deployed.run(going_on("stages", rounds=["stage-1"])).status.phase == "Succeeded", deployed.logs()


def test_another_lora_is_refused_naming_both_values(deployed, file):
    with pytest.raises(ApiError) as refused:
        deployed.aggregator.create_run(going_on("wider", training={"lora": {"r": 8, "lora_alpha": 128}}))
    assert refused.value.status == 422
    (fault,) = refused.value.problem.errors
    assert fault.pointer == "/spec/training/lora/r"
    assert "r 8 is not that of run 'first', 64" in fault.message


def test_a_client_whose_task_has_changed_is_refused(deployed, file):
    rewrite(file, lambda spec: spec["clients"][0].update(task="caption"))
    with pytest.raises(ApiError) as refused:
        deployed.aggregator.create_run(going_on("turned"))
    assert "'vqa-1' has task 'caption', but had 'vqa' in run 'first'" in refused.value.problem.errors[0].message


def test_a_client_that_is_disabled_stays_in_its_run_and_joins_no_new_one(deployed, file):
    deployed.aggregator.create_run(run_document("running", advance="manual", rounds=["plain"]))
    deployed.eventually(lambda: deployed.aggregator.run("running").status.published == 0)
    rewrite(file, lambda spec: spec["clients"][0].update(disabled=True))
    deployed.aggregator.trigger("running", "end")
    assert deployed.wait("running").status.phase == "Succeeded", deployed.logs()
    assert len(deployed.aggregator.round("running", 1).ledger.entries) == 3
    assert deployed.aggregator.create_run(run_document("new"), dry_run=True)["clients"] == ["cap-1", "vqa-2"]
    with pytest.raises(ApiError) as refused:
        deployed.aggregator.create_run(run_document("new", clients=["vqa-1"]))
    assert "is disabled" in refused.value.problem.errors[0].message


def test_a_federation_file_with_a_fault_is_told_and_the_one_before_stays(deployed, file):
    file.write_text(file.read_text().replace("task: caption", "task: captoin"))
    view = deployed.aggregator.federation()
    assert "unknown task 'captoin'" in view["status"]["error"]
    assert {client["name"] for client in view["spec"]["clients"]} == set(CLIENTS)
    assert deployed.aggregator.create_run(run_document("new"), dry_run=True)["clients"] == sorted(CLIENTS)
