"""The export to MLflow: what it says, and that a real store holds it once, however often it is sent."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from environments import python_of
from pilot_cli.report import mlflow_points
from pilot_cli.report.mlflow_points import Point
from unit.reports.histories import COMMIT, client_report, history

TESTS = Path(__file__).parents[2]


def test_metrics_are_named_by_task_and_point_with_the_round_as_step():
    points = mlflow_points.run_points(history())
    assert [p for p in points if p.key == "task/vqa/merged"] == [
        Point("task/vqa/merged", 0, 0.2),
        Point("task/vqa/merged", 1, 0.4),
        Point("task/vqa/merged", 2, 0.6),
    ]
    assert [p.step for p in points if p.key == "task/vqa/local"] == [1, 2]
    assert [p.value for p in points if p.key == "clients_counted"] == [3.0, 3.0]


def test_a_client_has_its_metric_losses_router_and_bytes():
    keys = {point.key for point in mlflow_points.client_points(history(), "vqa-1")}
    assert keys == {"merged", "local", "loss/total", "router/caption", "router/vqa", "bytes/sent", "bytes/fetched"}


def test_what_was_not_measured_is_no_point():
    clients = (client_report("one", "vqa", (None, 0.5), (None, None)),)
    points = mlflow_points.client_points(history(clients=clients, updates=None), "one")
    assert points == [Point("merged", 0, 0.2), Point("merged", 2, 0.5)]


def test_parameters_are_the_whole_spec_within_the_stores_limits():
    parameters = mlflow_points.parameters(history())
    assert parameters["training.lora.r"] == "64"
    assert parameters["rounds"] == '["plain", "plain"]'
    assert all(len(key) <= 250 and 0 < len(value) <= 6000 for key, value in parameters.items())


def test_tags_find_the_run_and_name_its_commits():
    tags = mlflow_points.run_tags(history(partial=True))
    assert tags["pilot.uid"] == "u" * 32
    assert tags["pilot.commit.client-vqa-1-text"] == COMMIT
    assert json.loads(tags["pilot.conditions"])[0]["reason"] == "ClientLost"


EXPORT = """
import importlib.util, json, os, sys
import pilot_cli.main
from pilot_cli.errors import CommandError
from pilot_cli.report import mlflow_store
from mlflow.tracking import MlflowClient
from unit.reports.histories import history

uri = sys.argv[1]
try:
    mlflow_store.export(history(), uri, "pilot", "")
except CommandError as error:
    refused = [error.what, error.why, error.hint]
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
first = mlflow_store.export(history(updates=()), uri, "pilot", "<!doctype html>old")
again = [mlflow_store.export(history(), uri, "pilot", "<!doctype html>new") for _ in range(2)]
client = MlflowClient(tracking_uri=uri)
experiment = client.get_experiment_by_name("pilot").experiment_id
runs = client.search_runs([experiment])
top = client.get_run(first)
nested = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == first]
vqa = next(r for r in nested if r.data.tags["pilot.client"] == "vqa-1")
page = client.download_artifacts(first, "report.html", sys.argv[2])
print(json.dumps({
    "refused": refused,
    "services": [name for name in ("pilot_aggregator", "pilot_http", "torch") if importlib.util.find_spec(name)],
    "ids": [first, *again],
    "names": sorted(r.info.run_name for r in runs),
    "nested": sorted(r.data.tags["pilot.client"] for r in nested),
    "status": top.info.status,
    "ended": top.info.end_time,
    "lora": top.data.params["training.lora.r"],
    "vqa": [[m.step, m.value] for m in client.get_metric_history(first, "task/vqa/merged")],
    "losses": [[m.step, m.value] for m in client.get_metric_history(vqa.info.run_id, "loss/total")],
    "page": open(page).read(),
}))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """What a real store of files holds after three exports of one run, the first before it had told all."""
    folder = tmp_path_factory.mktemp("mlflow")
    variables = {**os.environ, "PYTHONPATH": str(TESTS), "MLFLOW_DISABLE_TELEMETRY": "true"}
    variables.pop("MLFLOW_ALLOW_FILE_STORE", None)
    command = [python_of("mlflow"), "-c", EXPORT, (folder / "runs").as_uri(), folder]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_exporting_again_updates_the_same_run(exported):
    assert len(set(exported["ids"])) == 1
    assert exported["names"] == ["cap-1", "pilot-run", "vqa-1", "vqa-2"]
    assert exported["nested"] == ["cap-1", "vqa-1", "vqa-2"]


def test_a_value_is_there_once_however_often_it_was_sent(exported):
    assert exported["vqa"] == [[0, 0.2], [1, 0.4], [2, 0.6]]


def test_what_came_later_is_added(exported):
    assert exported["losses"] == [[1, 2.0]]
    assert exported["page"] == "<!doctype html>new"


def test_the_store_holds_the_spec_and_how_it_ended(exported):
    assert (exported["status"], exported["lora"], exported["ended"]) == ("FINISHED", "64", 1772370000000)


def test_a_folder_that_mlflow_does_not_allow_is_told_in_its_words_with_a_way_out(exported):
    what, why, hint = exported["refused"]
    assert what.startswith("MLflow at file:")
    assert "maintenance mode" in why
    assert "MLFLOW_ALLOW_FILE_STORE=true" in hint


def test_the_command_needs_none_of_the_services(exported):
    assert exported["services"] == []
