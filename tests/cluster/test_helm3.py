"""Helm 3, with values as other people have them: names, labels, a namespace for trainers, more environment."""

import os
import shutil
from dataclasses import replace

import pytest
from cluster.release import Release, brief_run, fresh_namespace

SERVICES, TRAINERS = "pilot-helm3", "pilot-helm3-trainers"


@pytest.fixture(scope="module")
def deployed(cluster, tmp_path_factory):
    if not shutil.which("helm3"):
        if "cluster" in os.environ.get("PILOT_REQUIRE", ""):
            pytest.fail("PILOT_REQUIRE names cluster, and there is no helm3: tests/cluster/cluster.sh build helm3")
        pytest.skip("no helm3: tests/cluster/cluster.sh build helm3")
    helm3 = replace(cluster, helm_program="helm3")
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    with fresh_namespace(cluster, SERVICES, **restricted), fresh_namespace(cluster, TRAINERS, **restricted):
        release = Release(helm3, SERVICES, tmp_path_factory.mktemp("helm3"), name="prod", full_name="federated")
        release.install("standin", "odd")
        release.forward()
        yield release
        release.unforward()


def test_helm_test_passes(deployed):
    assert "Phase:          Succeeded" in deployed.helm("test", "prod", "--logs")


def test_a_run_succeeds_in_the_trainers_namespace_and_its_objects_have_the_labels(deployed):
    run = deployed.run(brief_run("odd", rounds=["plain"]))
    assert run.status.phase == "Succeeded", deployed.explain()
    jobs = deployed.cluster.items("jobs", "pilot.federated/run=odd", namespace=TRAINERS)
    assert len(jobs) >= 4
    for thing in [*jobs, *deployed.pods("aggregator"), *deployed.pods("registry")]:
        assert thing["metadata"]["labels"]["example.org/cost-centre"] == "42"
    assert deployed.cluster.items("jobs", "pilot.federated/run=odd", namespace=SERVICES) == []


def test_an_upgrade_keeps_the_keys_and_an_uninstall_leaves_what_it_names(deployed):
    key = deployed.key("operator")
    deployed.install("standin", "odd", aggregator_podAnnotations_upgraded="once")
    assert deployed.key("operator") == key
    told = deployed.helm("uninstall", "prod", "--wait")
    for name in ("federated-registry", "federated-aggregator", "federated-objectstore", "federated-keys"):
        assert name in told
    assert deployed.cluster.items("statefulsets", namespace=SERVICES) == []
    assert deployed.cluster.items("rolebindings", namespace=TRAINERS) == []
