"""Real training on digit scenes by the real services: killed three times, the run publishes the same bytes; and a
client's personal model is exported from it and asked."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from deployments import Harness, harness, outcome
from pilot_cli.local.commands import announce
from pilot_cli.main import app
from pilot_digits.federation import write_federation
from pilot_digits.samples import Sizes
from pilot_proto.boundaries import Boundary
from typer.testing import CliRunner

pytestmark = [pytest.mark.training, pytest.mark.slow]

CLIENTS = ["caption-1", "grounding-1", "vqa-1"]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    federation = write_federation("digits", folder / "digits", sizes=Sizes(train=24, val=8, test=8))
    with harness(folder / "d", federation=federation, entry="pilot_trainer.program:run", jobs=2) as made:
        yield made


def start(deployed: Harness, name: str) -> None:
    document = yaml.safe_load((deployed.deployment.federation.parent / "run.yaml").read_text())
    document["metadata"]["name"] = name
    spec = document["spec"]
    spec |= {"clients": CLIENTS, "rounds": ["stage-1", "stage-2"], "advance": "manual", "evaluation": {"samples": 4}}
    spec["training"] |= {"num_train_epochs": 2, "checkpoint_every_s": 1}
    deployed.aggregator.create_run(document)
    deployed.eventually(lambda: deployed.aggregator.run(name).status.published == 0)


def finish(deployed: Harness, name: str):
    run = deployed.wait(name)
    assert run.status.phase == "Succeeded", deployed.logs()
    return outcome(deployed, name)


@pytest.fixture(scope="module")
def undisturbed(deployed):
    start(deployed, "undisturbed")
    deployed.aggregator.trigger("undisturbed", "end")
    return finish(deployed, "undisturbed")


def test_a_trainer_tells_what_it_did_in_the_order_in_which_it_did_it(deployed, undisturbed):
    stages = {
        tuple(stage.stage for stage in attempt.stages)
        for number in (0, 1, 3)
        for client in deployed.aggregator.timeline("undisturbed", number).clients
        for attempt in client.attempts
        if attempt.stages
    }
    measured = ("loading", "fetching", "loading", "evaluating")
    # Its last report may be lost, as every hint may; then there is one kind of round less to see.
    assert stages <= {
        ("loading", "fetching", "preparing", "saving", "uploading"),
        (*measured, "training", "evaluating", "saving", "uploading"),
        (*measured, "saving", "uploading"),
    }
    assert (*measured, "training", "evaluating", "saving", "uploading") in stages


def test_real_training_killed_in_the_middle_publishes_what_it_would_have_published(deployed, undisturbed):
    start(deployed, "killed")
    deployed.arm(Boundary.INPUTS_FETCHED)
    deployed.aggregator.trigger("killed", 1)
    trainer = deployed.eventually(lambda: deployed.stopped_at(Boundary.INPUTS_FETCHED))
    os.kill(trainer, signal.SIGKILL)
    deployed.release(Boundary.INPUTS_FETCHED)
    deployed.arm(Boundary.MERGED)
    deployed.eventually(lambda: deployed.stopped_at(Boundary.MERGED))
    deployed.kill("aggregator")
    deployed.kill("registry")
    deployed.release(Boundary.MERGED)
    deployed.restart("registry")
    deployed.restart("aggregator")
    deployed.eventually(lambda: deployed.aggregator.run("killed").status.published == 1)
    deployed.arm(Boundary.RESULT_RENAMED)
    deployed.aggregator.trigger("killed", "end")
    trainer = deployed.eventually(lambda: deployed.stopped_at(Boundary.RESULT_RENAMED))
    os.kill(trainer, signal.SIGKILL)
    deployed.release(Boundary.RESULT_RENAMED)
    assert finish(deployed, "killed") == undisturbed


@pytest.fixture
def pilot(deployed, monkeypatch):
    """Call the command on this machine; what it printed."""
    announce(deployed.deployment)
    monkeypatch.setenv("PILOT_STATE_DIR", str(deployed.deployment.state))

    def run(*arguments) -> str:
        told = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
        assert told.exit_code == 0, told.output
        return told.output

    return run


def test_what_an_adapters_page_offers_to_export_and_answer_does(deployed, undisturbed, pilot, tmp_path, monkeypatch):
    key = (deployed.deployment.keys / "viewer.key").read_text().strip()
    address = f"{deployed.deployment.registry_url}/ui/adapters/undisturbed/client-vqa-1-text?tab=use&format=json"
    shown = httpx.get(address, headers={"Authorization": f"Bearer {key}"}).json()
    offered = {snippet["name"]: snippet["text"] for snippet in shown["snippets"]}
    monkeypatch.chdir(tmp_path)
    pilot(*shlex.split(offered["export"])[1:])
    images = deployed.deployment.federation.parent / "data" / "vqa-1" / "images"
    shutil.copy(next(images.glob("test-*.png")), tmp_path / "picture.png")
    done = subprocess.run([sys.executable, "-c", offered["answer"]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_personal_model_is_exported_and_asked(deployed, undisturbed, pilot, tmp_path):
    data = deployed.deployment.federation.parent / "data" / "vqa-1"
    image = next(iter(sorted((data / "images").glob("test-*.png"))))
    question = ("--image", image, "--prompt", "how many digits are there ?")

    told = pilot("export", "undisturbed", "--client", "vqa-1", "--out", tmp_path / "merged")
    assert "measured (exact-match): merged " in told
    said = json.loads((tmp_path / "merged" / "personal.json").read_text())
    assert (said["round"], said["point"], said["program"]) == (2, "merged", "stage-2")
    assert said["router_tasks"] == ["caption", "grounding", "vqa"]
    assert pilot("predict", "--model", tmp_path / "merged", *question).strip()

    pilot("export", "undisturbed", "--client", "vqa-1", "--point", "local", "--out", tmp_path / "local")
    by_state = pilot("predict", "undisturbed", "--client", "vqa-1", *question)
    assert pilot("predict", "--model", tmp_path / "local", *question) == by_state

    told = pilot(
        "export", "undisturbed", "--client", "vqa-1", "--round", 1, "--merge-lora", "--out", tmp_path / "folded"
    )
    assert "vqa-1 has done" not in told
    assert "the LoRA folded in: 2." in told
    assert json.loads((tmp_path / "folded" / "personal.json").read_text())["program"] == "stage-1"
    assert pilot("predict", "--model", tmp_path / "folded", *question).strip()
    assert not any(Path(tmp_path).glob(".*"))
