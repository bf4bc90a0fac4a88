"""The demo on a cluster: nine clients really train in Jobs, and publish what they do on the local backend."""

import os
import subprocess
import sys

import pytest
import yaml
from cluster import torch_volume
from cluster.kubectl import eventually
from cluster.release import NAME, Release, release
from deployments import harness, outcome
from pilot_digits.federation import write_federation

TRAINING_S = 1200

LOADING = """
import sys
from peft import PeftModel
from transformers import LlavaForConditionalGeneration

base = LlavaForConditionalGeneration.from_pretrained(sys.argv[1])
model = PeftModel.from_pretrained(base, sys.argv[2], revision="round-3")
tensors = [t for name, t in model.state_dict().items() if "lora_B" in name]
assert tensors and all(t.abs().sum() > 0 for t in tensors)
print(len(tensors))
"""


@pytest.fixture(scope="module")
def deployed(cluster, tmp_path_factory):
    """The chart's default values. On a node that has torch, trainers take it from there."""
    with release(cluster, "pilot-digits", tmp_path_factory.mktemp("digits")) as made:
        torch_volume.install(made)
        made.forward()
        yield made


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """The digits run as the demo starts it."""
    federation = write_federation("digits", tmp_path_factory.mktemp("scenes"))
    run = yaml.safe_load((federation.parent / "run.yaml").read_text())
    return federation, run


@pytest.fixture(scope="module")
def local(document, tmp_path_factory):
    """What the same run publishes on the local backend."""
    federation, run = document
    folder = tmp_path_factory.mktemp("local")
    with harness(folder / "d", federation=federation, entry="pilot_trainer.program:run", jobs=2) as made:
        made.aggregator.create_run(run)
        name = run["metadata"]["name"]
        eventually(lambda: made.aggregator.run(name).status.phase in ("Succeeded", "Failed"), TRAINING_S, made.logs)
        yield outcome(made, name)


def test_helm_test_passes(deployed):
    assert "Phase:          Succeeded" in deployed.helm("test", NAME, "--logs")


def test_nine_clients_train_three_rounds_and_publish_what_the_local_backend_does(deployed, document, local):
    run = deployed.run(document[1], within_s=TRAINING_S)
    assert run.status.phase == "Succeeded", deployed.explain()
    assert run.status.conditions == ()
    published = outcome(deployed, run.metadata["name"])
    assert [number for number, *_ in published] == [number for number, *_ in local]
    for (number, _, files, ledger, plans), (_, _, local_files, local_ledger, local_plans) in zip(
        published, local, strict=True
    ):
        assert files == local_files, f"round {number}"
        assert ledger == local_ledger
        assert plans == local_plans


def test_peft_loads_a_clients_adapter_through_a_port_forward(deployed, document, tmp_path):
    federation, run = document
    assert deployed.aggregator.run(run["metadata"]["name"]).status.published >= len(run["spec"]["rounds"])
    variables = {
        "HF_ENDPOINT": deployed.url("registry"),
        "HF_HOME": str(tmp_path),
        "HF_TOKEN": deployed.key("operator"),
    }
    base, adapter = federation.parent / "models" / "digits-tiny", f"{run['metadata']['name']}/client-vqa-1-text"
    command = [sys.executable, "-c", LOADING, str(base), adapter]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_peft_loads_the_same_adapter_in_a_pod_by_the_registrys_name(deployed, document):
    _, run = document
    adapter = f"{run['metadata']['name']}/client-vqa-1-text"
    deployed.cluster.apply(reader(deployed, adapter), namespace=deployed.namespace)
    deployed.eventually(lambda: phase(deployed, "reader") in ("Succeeded", "Failed"))
    told = deployed.kubectl("logs", "reader")
    assert phase(deployed, "reader") == "Succeeded", told
    # Among what its libraries say of their progress.
    (found,) = [int(line) for line in told.splitlines() if line.isdecimal()]
    assert found > 0


def phase(deployed: Release, pod: str) -> str:
    return deployed.kubectl("get", "pod", pod, "-o", "jsonpath={.status.phase}")


def reader(deployed: Release, adapter: str) -> dict:
    """A pod as a trainer's, for its base model and its torch, that reads as a viewer and knows nothing of Pilot."""
    jobs = yaml.safe_load(deployed.kubectl("get", "configmap", f"{NAME}-jobs", "-o", "jsonpath={.data.jobs\\.yaml}"))
    template = jobs["spec"]["templates"]["vqa-1"]["spec"]["template"]
    pod, (container,) = template["spec"], template["spec"]["containers"]
    told = {
        "HF_ENDPOINT": f"http://{NAME}-registry.{deployed.namespace}.svc:8601",
        "HF_HOME": "/tmp/hub",
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN_PATH": "/etc/hub/token",
    }
    own = [entry for entry in container["env"] if entry["name"] not in told]
    container["env"] = own + [{"name": name, "value": value} for name, value in told.items()]
    container["command"] = ["python", "-c", LOADING, "/models/digits-tiny", adapter]
    container["volumeMounts"].append({"name": "hub", "mountPath": "/etc/hub", "readOnly": True})
    key = {"secretName": f"{NAME}-keys", "items": [{"key": "viewer.key", "path": "token"}]}
    state = [volume for volume in pod["volumes"] if volume["name"] != "state"]
    pod["volumes"] = [*state, {"name": "state", "emptyDir": {}}, {"name": "hub", "secret": key}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "reader", **template["metadata"]},
        "spec": {**pod, "restartPolicy": "Never"},
    }
