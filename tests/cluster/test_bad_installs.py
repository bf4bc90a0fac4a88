"""Values that cannot work, on a real API server and with real servers elsewhere: the install fails, and says the cause
in its first line."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from cluster.release import CHART, VALUES

DATA = "{volume: {configMap: {name: a, optional: true}}}"

FAULTS = {
    "wrong-key": (
        "objectStore: {existingSecret: s3-wrong}",
        "objectStore.existingSecret: https://s3:9000 refuses these keys for the bucket 'adapters'",
    ),
    "no-bucket": ("objectStore: {bucket: nothing}", "objectStore.bucket is 'nothing': https://s3:9000 has no such"),
    "strange-certificate": (
        "objectStore: {external: {ca: {existingConfigMap: stranger}}}",
        "objectStore.external.ca: nothing vouches for the certificate of https://s3:9000",
    ),
    "wrong-password": (
        "registry: {database: {existingSecret: postgres-wrong}}",
        "registry.database.existingSecret: the database postgresql://pilot:***@postgres/registry cannot be used",
    ),
    "no-right-to-tables": (
        "aggregator: {database: {existingSecret: postgres-stranger}}",
        "aggregator.database.existingSecret: the user of postgresql://stranger:***@postgres/aggregator may not make",
    ),
    "no-data": (
        "clients: [{name: a, task: vqa, data: {existingClaim: nowhere}}]",
        'clients[0].data.existingClaim is "nowhere", and there is no such PersistentVolumeClaim in namespace',
    ),
    "no-secret": (
        "objectStore: {existingSecret: nobody}",
        'objectStore.existingSecret is "nobody", and there is no such Secret in namespace pilot-outside',
    ),
    "no-label": (f"clients: [{{name: Client_A, task: vqa, data: {DATA}}}]", 'clients[0].name is "Client_A"'),
    "misspelt": ("aggregator: {replica: 2}", "replica"),
}
BEFORE_THE_CLUSTER = ("no-data", "no-secret", "no-label", "misspelt")
"""Those fail while the chart is rendered, and leave nothing behind."""

CHATTER = re.compile(r"^[IWE]\d{4} ")
"""Of a library of Helm's, about its watches."""


@pytest.fixture(scope="module")
def told(outside):
    """What each of them says. Those that start a Job do so at once: most of the time is the kubelet's."""
    files = [word for name in ("standin", "outside") for word in ("--values", str(VALUES / f"{name}.yaml"))]

    def install(name):
        words = ["install", name, str(CHART), "--wait", "--timeout", "2m", *files, "--values", "-"]
        return outside.cluster.refused(*words, namespace=outside.namespace, text=FAULTS[name][0], limit_s=180)

    with ThreadPoolExecutor(len(FAULTS)) as workers:
        yield dict(zip(FAULTS, workers.map(install, FAULTS), strict=True))
    for name in FAULTS:
        if name not in BEFORE_THE_CLUSTER:
            outside.helm("uninstall", name)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_install_fails_with_the_cause_in_the_first_line(told, fault):
    first, *others = [line for line in told[fault].splitlines() if line.strip() and not CHATTER.match(line)]
    if fault in BEFORE_THE_CLUSTER:
        # Helm's own line stands before a list.
        first = " ".join([first, *others[:3]])
    assert FAULTS[fault][1] in first, told[fault]


def test_what_fails_before_the_cluster_leaves_nothing(outside, told):
    releases = outside.cluster.items("secrets", "owner=helm", namespace=outside.namespace)
    assert not {release["metadata"]["labels"]["name"] for release in releases} & set(BEFORE_THE_CLUSTER)
