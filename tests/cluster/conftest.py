"""Tests on a real cluster: the one of `make cluster-up`, or any other by PILOT_TEST_KUBECONFIG."""

import os
from pathlib import Path

import pytest
from cluster.kubectl import Cluster
from cluster.outside import provide
from cluster.release import release

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


LONGEST = "test_digits.py"
SHARING = ("outside", "two_aggregators")
"""Fixtures of the session: whoever asks for one must run where the others do."""


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    ours = [item for item in items if here in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.cluster)
        item.add_marker(pytest.mark.timeout(1500))
        # Workers take whole files, but for what shares a namespace.
        shared = any(name in item.fixturenames for name in SHARING)
        item.add_marker(pytest.mark.xdist_group("outside" if shared else item.path.stem))
    # Real training keeps the cores busy, the others wait for the cluster: begun first, it is done when they are.
    items.sort(key=lambda item: item in ours and item.path.name != LONGEST)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    kubeconfig = os.environ.get("PILOT_TEST_KUBECONFIG")
    if not kubeconfig:
        if "cluster" in os.environ.get("PILOT_REQUIRE", ""):
            pytest.fail("PILOT_REQUIRE names cluster, but PILOT_TEST_KUBECONFIG names none")
        pytest.skip("no cluster: make cluster-test, or PILOT_TEST_KUBECONFIG")
    return Cluster(Path(kubeconfig), tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def restricted(cluster, tmp_path_factory):
    """Stand-in trainers in a namespace that refuses whatever Pod Security `restricted` does."""
    with release(cluster, "pilot-standin", tmp_path_factory.mktemp("standin"), **RESTRICTED) as made:
        made.faults()
        made.install("standin")
        made.forward()
        yield made


@pytest.fixture(scope="session")
def outside(cluster, tmp_path_factory):
    """A namespace in which Postgres and an S3 server are there already, and nothing of Pilot."""
    with release(cluster, "pilot-outside", tmp_path_factory.mktemp("outside"), **RESTRICTED) as made:
        provide(made)
        yield made


@pytest.fixture(scope="session")
def two_aggregators(outside):
    """Two aggregators on that Postgres, everything over TLS."""
    outside.faults()
    outside.install("standin", "outside")
    outside.forward()
    return outside
