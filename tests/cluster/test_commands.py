"""Every command of `pilot` that talks to a deployment, as a person types it, against a cluster over TLS."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cluster.release import Release, brief_run
from pilot_cli.main import app

COMMAND = str(Path(sys.executable).with_name("pilot"))
RUN = brief_run("walked", rounds=["plain"], evaluation={"samples": 8})
CALL_S = 180

ON_FILES = {"init", "demo", "up", "data", "merge", "predict", "estimate", "explain"}
"""Of this machine's files and processes, wherever a deployment is."""
AS_A_JOB = {"export"}
"""Has a test of its own, after real training."""
WALKED: set[str] = set()


@pytest.fixture(scope="module")
def person(two_aggregators: Release, tmp_path_factory):
    """Somebody with a terminal and no deployment in their folder."""
    return Person(two_aggregators, tmp_path_factory.mktemp("person"))


class Person:
    def __init__(self, release: Release, home: Path) -> None:
        self.release, self.home = release, home
        names = ("PILOT_URL", "PILOT_REGISTRY_URL", "PILOT_TOKEN_FILE", "PILOT_TOKEN", "PILOT_CONTEXT")
        self.environment = {name: value for name, value in os.environ.items() if name not in names}
        self.environment |= {"PILOT_CONFIG_DIR": str(home / "config"), "COLUMNS": "200"}

    def __call__(self, *words: str, code: int = 0, typed: str = "", **environment: str) -> str:
        """Type a command; what it printed."""
        WALKED.add(words[0])
        done = subprocess.run(
            [COMMAND, *words],
            input=typed,
            capture_output=True,
            text=True,
            timeout=CALL_S,
            cwd=self.home,
            env=self.environment | environment,
        )
        assert done.returncode == code, f"pilot {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def file(self, name: str, document: dict) -> str:
        (self.home / name).write_text(yaml.safe_dump(document))
        return name

    def key(self, role: str) -> str:
        file = self.home / f"{role}.key"
        file.write_text(self.release.key(role))
        return str(file)


@pytest.fixture(scope="module")
def pilot(person):
    """Logged in as the operator, with the key on standard input as NOTES.txt says."""
    release = person.release
    words = ["--registry", release.url("registry"), "--context", "lab", "--ca-file", str(release.ca_file)]
    told = person("login", release.url("aggregator"), *words, typed=release.key("operator"))
    assert "logged in" in told
    return person


@pytest.fixture(scope="module")
def walked(pilot):
    """A run that was started and followed from the command line."""
    file = pilot.file("run.yaml", RUN)
    assert "walked" in pilot("run", "-f", file, "--dry-run")
    assert "Succeeded" in pilot("run", "-f", file, "--watch")
    return "walked"


def test_without_the_authority_nobody_logs_in(person):
    release = person.release
    told = person("login", release.url("aggregator"), "--key-file", person.key("viewer"), code=1)
    assert "certificate" in told.lower()


def test_contexts_are_listed_chosen_and_forgotten(pilot):
    assert "lab" in pilot("context", "ls")
    release = pilot.release
    words = ["--registry", release.url("registry"), "--ca-file", str(release.ca_file)]
    pilot("login", release.url("aggregator"), *words, "--context", "other", "--key-file", pilot.key("viewer"))
    pilot("context", "use", "lab")
    pilot("context", "rm", "other")
    assert pilot("context", "ls", "-o", "name").split() == ["lab"]


def test_the_doctor_finds_both_services_and_the_key(pilot):
    told = pilot("doctor")
    assert "fail" not in told
    for service in ("aggregator", "registry"):
        assert pilot.release.url(service) in told


def test_what_there_is_can_be_listed_and_described(pilot, walked):
    pilot("wait", f"run/{walked}", "--timeout", "60")
    assert walked in pilot("get", "runs", "-o", "wide")
    assert "4/4" in pilot("get", "rounds", walked)
    assert "vqa-1" in pilot("get", "clients", walked, "-o", "wide")
    for form in ("table", "yaml", "name"):
        assert f"{walked}/global-text" in pilot("get", "adapters", walked, "-o", form)
    adapters = json.loads(pilot("get", "adapters", walked, "-o", "json"))["items"]
    assert {"text", "connector"} <= {item["kind"] for item in adapters}
    for what in (("run", walked), ("round", f"{walked}/1"), ("client", f"{walked}/vqa-1")):
        assert "vqa-1" in pilot("describe", *what)
    assert "round-1" in pilot("describe", "adapter", f"{walked}/global-text@round-1")
    pilot("logs", walked, "--client", "vqa-1", "--round", "1")


def test_adapters_are_taken_compared_named_and_verified(pilot, walked):
    merged = f"{walked}/global-text"
    pilot("pull", f"{merged}@round-1", "--out", "pulled")
    assert (pilot.home / "pulled" / "adapter_model.safetensors").exists()
    assert "layer.lora_A.weight" in pilot("diff", f"{walked}/base-text", merged)
    pilot("alias", "set", f"{merged}@round-1", "best")
    assert "best" in pilot("describe", "adapter", f"{merged}@best")
    assert "identical" in pilot("verify", walked, "1")


def test_runs_are_reported_and_compared(pilot, walked):
    pilot("run", "-f", "run.yaml", "--name", "walked-again", "--watch")
    pilot("report", walked, "--out", "report.html")
    assert (pilot.home / "report.html").stat().st_size > 0
    assert "walked-again" in pilot("compare", walked, "walked-again")


def test_a_run_is_validated_paused_resumed_triggered_and_cancelled(pilot):
    file = pilot.file("held.yaml", brief_run("held", advance="manual"))
    pilot("validate", "-f", file)
    pilot("run", "-f", file)
    pilot.release.eventually(lambda: pilot.release.aggregator.run("held").status.published == 0)
    pilot("pause", "held")
    pilot("resume", "held")
    pilot("trigger", "held", "--through", "1")
    pilot.release.eventually(lambda: pilot.release.aggregator.run("held").status.published == 1)
    assert "wrong_phase" in pilot("retry", "held", "--client", "vqa-1", "--round", "1", code=5)
    assert "already_planned" in pilot("verdict", "held", "count", "--client", "vqa-1", "--reason", "it is well", code=5)
    pilot("cancel", "held")
    pilot.release.eventually(lambda: "Cancelled" in pilot("get", "runs"))


def test_the_registrys_housekeeping_wants_the_admins_key(pilot, walked):
    assert "forbidden" in pilot("registry", "check", code=4)
    admin = {"PILOT_TOKEN_FILE": pilot.key("admin")}
    assert "records of the journal" in pilot("registry", "check", "--deep", **admin)
    assert "would delete" in pilot("registry", "gc", "--dry-run", **admin)
    assert "versions" in pilot("registry", "reindex", **admin)


def test_an_adapter_that_nothing_needs_is_deleted_for_ever_by_the_admin(pilot, walked):
    needed, gone = f"{walked}/global-text@round-1", f"{walked}/global-connector@round-1"
    assert "forbidden" in pilot("adapters", "delete", gone, "--yes", code=4)
    admin = {"PILOT_TOKEN_FILE": pilot.key("admin")}
    pilot("alias", "set", needed, "needed")
    assert "alias needed" in pilot("adapters", "delete", needed, "--yes", code=5, **admin)
    assert "is deleted" in pilot("adapters", "delete", gone, "--yes", **admin)
    assert "deleted" in pilot("pull", gone, code=1)


def test_clients_are_listed_and_changed_where_they_come_from(pilot):
    assert "client/vqa-1" in pilot("clients", "ls", "-o", "name")
    assert "helm upgrade" in pilot("clients", "disable", "vqa-1", code=3)


def test_a_viewer_looks_and_changes_nothing(pilot, walked):
    viewer = {"PILOT_TOKEN_FILE": pilot.key("viewer")}
    assert walked in pilot("get", "runs", **viewer)
    assert "forbidden" in pilot("cancel", walked, code=4, **viewer)


def test_no_command_was_left_out(pilot):
    known = {command.callback.__name__ if command.name is None else command.name for command in app.registered_commands}
    groups = {group.name for group in app.registered_groups}
    assert known | groups == WALKED | ON_FILES | AS_A_JOB
