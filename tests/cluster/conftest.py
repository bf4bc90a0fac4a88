"""Tests on a real cluster: the one of `make cluster-up`, or any other by PILOT_TEST_KUBECONFIG."""

import os
from pathlib import Path

import pytest
from cluster.kubectl import Cluster
from cluster.outside import provide
from cluster.release import release
from xdist.scheduler import LoadScopeScheduling

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


LONGEST = "test_digits.py"
OF_THE_SESSION = {"outside", "two_aggregators"}
SHARING = {"test_bad_installs.py", "test_commands.py", "test_two_aggregators.py"}
"""Files with fixtures of the session: they share a namespace, and so a worker."""


class Files(LoadScopeScheduling):
    """Workers take whole files. Not `--dist loadgroup`: xdist 3.8 cannot name groups to pytest 9.2."""

    def _split_scope(self, nodeid):
        file = Path(nodeid.partition("::")[0]).name
        return "sharing" if file in SHARING else file


def pytest_xdist_make_scheduler(config, log):
    return Files(config, log)


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    ours = [item for item in items if here in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.cluster)
        item.add_marker(pytest.mark.timeout(1500))
        assert item.path.name in SHARING or OF_THE_SESSION.isdisjoint(item.fixturenames), f"{item.path.name} shares"
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
