"""`pilot clients`: the file of a deployment on this machine, edited in place."""

import json

import pytest
import yaml
from pilot_cli.errors import MISSING, USAGE
from pilot_cli.local.keys import ensure_keys
from unit.aggregator.world import CLIENTS, federation_in

DATASET = """\
apiVersion: pilot/v1alpha1
kind: Dataset
metadata: {{name: {name}}}
spec:
  task: {task}
  metric: exact-match
  splits: {{train: {{file: train.json}}}}
"""


def dataset(folder, task="vqa"):
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text(DATASET.format(name=folder.name, task=task))
    return folder


@pytest.fixture
def here(elsewhere):
    """A federation, and the endpoint of a deployment that is stopped."""
    file = federation_in(elsewhere)
    state = elsewhere / ".pilot" / "up"
    ensure_keys(state / "keys", CLIENTS)
    endpoint = {"aggregator": "http://127.0.0.1:9", "registry": "http://127.0.0.1:9", "keys": str(state / "keys")}
    (state / "endpoint.json").write_text(json.dumps({**endpoint, "federation": str(file)}))
    return elsewhere


def clients_of(folder):
    return {c["name"]: c for c in yaml.safe_load((folder / "federation.yaml").read_text())["spec"]["clients"]}


def test_a_client_is_added_with_its_key_and_a_path_relative_to_the_file(pilot, here):
    dataset(here / "data" / "vqa-3")
    said = pilot("clients", "add", "vqa-3", "--task", "vqa", "--data", "data/vqa-3")
    assert said.code == 0, said.err
    assert clients_of(here)["vqa-3"] == {"name": "vqa-3", "task": "vqa", "data": "data/vqa-3"}
    assert (here / ".pilot/up/keys/clients/vqa-3.key").stat().st_mode & 0o777 == 0o600
    assert "client:vqa-3" in (here / ".pilot/up/keys/keys.yaml").read_text()


def test_a_client_of_a_new_task_brings_the_task_when_asked_to(pilot, here):
    dataset(here / "data" / "count-1", "counting")
    command = ("clients", "add", "count-1", "--task", "counting", "--data", "data/count-1")
    before = (here / "federation.yaml").read_text()
    refused = pilot(*command)
    assert refused.code == USAGE
    assert "unknown task 'counting'" in refused.err
    assert (here / "federation.yaml").read_text() == before
    assert pilot(*command, "--new-task").code == 0
    tasks = yaml.safe_load((here / "federation.yaml").read_text())["spec"]["tasks"]
    assert {"name": "counting"} in tasks


def test_two_clients_with_one_data_folder_are_refused_even_through_a_link(pilot, here):
    folder = dataset(here / "data" / "vqa-3")
    assert pilot("clients", "add", "vqa-3", "--task", "vqa", "--data", "data/vqa-3").code == 0
    (here / "other").symlink_to(folder)
    before = (here / "federation.yaml").read_text()
    refused = pilot("clients", "add", "vqa-4", "--task", "vqa", "--data", "other")
    assert refused.code == USAGE
    assert "'vqa-3' and 'vqa-4' have one data folder" in refused.err
    assert "count twice" in refused.err
    inside = pilot("clients", "add", "vqa-5", "--task", "vqa", "--data", str(dataset(folder / "more")))
    assert "one inside the other" in inside.err
    assert (here / "federation.yaml").read_text() == before


def test_data_of_another_task_or_none_at_all_are_refused(pilot, here):
    dataset(here / "data" / "cap-9", "caption")
    other = pilot("clients", "add", "vqa-9", "--task", "vqa", "--data", "data/cap-9")
    assert (other.code, "task 'caption', not 'vqa'" in other.err) == (USAGE, True)
    nothing = pilot("clients", "add", "vqa-9", "--task", "vqa", "--data", "data/none")
    assert (nothing.code, "no dataset.yaml" in nothing.err) == (USAGE, True)


def test_a_client_is_disabled_and_enabled_by_file_without_a_deployment(pilot, elsewhere):
    file = federation_in(elsewhere)
    assert pilot("clients", "disable", "vqa-1", "--federation", file).code == 0
    assert clients_of(elsewhere)["vqa-1"]["disabled"] is True
    assert pilot("clients", "enable", "vqa-1", "--federation", file).code == 0
    assert clients_of(elsewhere)["vqa-1"]["disabled"] is False
    unknown = pilot("clients", "disable", "vqa-9", "--federation", file)
    assert unknown.code == MISSING
    assert "vqa-1, vqa-2" in unknown.err


def test_without_a_file_the_way_on_a_cluster_is_said(pilot, elsewhere):
    said = pilot("clients", "disable", "vqa-1")
    assert said.code == MISSING
    assert "chart's values" in said.err
    assert "helm upgrade" in said.err


def test_clients_are_listed_with_their_state_and_a_fault_of_the_file(pilot, deployed, tmp_path):
    file = tmp_path / "federation.yaml"
    document = yaml.safe_load(file.read_text())
    document["spec"]["clients"][0]["disabled"] = True
    file.write_text(yaml.safe_dump(document))
    listed = json.loads(pilot("clients", "ls", "-o", "json").out)
    assert {c["name"]: c["state"] for c in listed["items"]} == {
        "cap-1": "disabled",
        "vqa-1": "enabled",
        "vqa-2": "enabled",
    }
    file.write_text("kind: Federation\n")
    said = pilot("clients", "ls")
    assert "cap-1" in said.out
    assert "not in force" in said.out
