"""A release over time: upgraded in mid-run, rolled back, uninstalled, installed again over what it kept, and restored
from a backup by the commands of docs/operations.md."""

import json
import os
import subprocess
from base64 import b64decode
from pathlib import Path

import pages
import pytest
from cluster.release import CHART, NAME, VALUES, Release, brief_run, release
from deployments import free_ports, outcome
from minio import Minio


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
    run = deployed.run(brief_run("undisturbed"))
    assert run.status.phase == "Succeeded", deployed.explain()
    return outcome(deployed, "undisturbed")


def test_helm_test_passes(deployed):
    told = deployed.helm("test", NAME, "--logs")
    assert "Phase:          Succeeded" in told


def test_an_upgrade_and_a_rollback_in_the_middle_of_a_run_change_nothing_of_it(deployed, undisturbed):
    deployed.aggregator.create_run(brief_run("upgraded", advance="manual"))
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


PAGE = CHART.parents[1] / "docs" / "operations.md"
BUCKET = "pilot"


def follow(deployed: Release, folder: Path, heading: str, only: slice = slice(None)) -> None:
    """Run the scripts below a heading of the page, in a folder that has what they name."""
    for script in pages.scripts(PAGE, heading)[only]:
        script = script.replace("-n pilot ", f"-n {deployed.namespace} ")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env=deployed.cluster.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


def bucket(deployed: Release, act) -> None:
    """Do something with the embedded store through a port-forward."""
    secret = json.loads(deployed.kubectl("get", "secret", f"{NAME}-objectstore", "-o", "json"))["data"]
    keys = [b64decode(secret[name]).decode() for name in ("access-key", "secret-key")]
    port = free_ports()
    command = ["kubectl", "-n", deployed.namespace, "port-forward", f"service/{NAME}-objectstore", f"{port}:9000"]
    with subprocess.Popen(command, env=deployed.cluster.environment, stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout is not None
            assert "Forwarding" in forward.stdout.readline()
            act(Minio(f"127.0.0.1:{port}", *keys, secure=False, region="us-east-1"))
        finally:
            forward.kill()


def test_a_backup_brings_back_what_was_lost_with_every_volume(deployed, undisturbed, tmp_path):
    os.symlink(CHART.parent, tmp_path / "charts")
    os.symlink(VALUES / "standin.yaml", tmp_path / "values.yaml")
    kept, key, copies = adapters(deployed), deployed.key("operator"), tmp_path / "bucket"
    follow(deployed, tmp_path, "Back up")
    bucket(
        deployed, lambda s3: [s3.fget_object(BUCKET, o.object_name, str(copies / o.object_name)) for o in all_of(s3)]
    )

    follow(deployed, tmp_path, "Remove")
    assert (
        deployed.cluster.items("pvc,secrets", f"app.kubernetes.io/instance={NAME}", namespace=deployed.namespace) == []
    )

    restore = pages.scripts(PAGE, "Restore")
    follow(deployed, tmp_path, "Restore", slice(0, len(restore) - 1))
    files = [file for file in copies.rglob("*") if file.is_file()]
    bucket(deployed, lambda s3: [s3.fput_object(BUCKET, str(f.relative_to(copies)), str(f)) for f in files])
    follow(deployed, tmp_path, "Restore", slice(len(restore) - 1, None))

    assert deployed.key("operator") == key
    assert adapters(deployed) == kept
    assert outcome(deployed, "undisturbed") == undisturbed
    assert deployed.aggregator.verify("undisturbed", 1).verdict == "identical"


def all_of(s3: Minio):
    return s3.list_objects(BUCKET, recursive=True)
