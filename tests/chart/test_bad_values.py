"""Values that cannot work: the install fails, and the message names the key and says what to do."""

import pytest
from chart.needed import FILE, needed
from chart.rendering import template

DATA = "data: {existingClaim: a}"
CLIENT = "{name: a, task: vqa, data: {existingClaim: a}"

FAULTS = {
    # What the schema sees.
    "a misspelt key": ("aggregator: {replica: 2}", "/aggregator", "'replica' not allowed"),
    "a misspelt component": ("aggregater: {}", "'aggregater' not allowed"),
    "a misspelt key of a client": (f"clients: [{CLIENT}, gpus: 1}}]", "/clients/0", "'gpus' not allowed"),
    "a client without data": ("clients: [{name: a, task: vqa}]", "/clients/0", "'data'"),
    "a size of no unit": ("registry: {persistence: {size: 10Gb}}", "/registry/persistence/size", "10Gb"),
    "a quantity of cpu": ("trainer: {resources: {limits: {cpu: lots}}}", "/trainer/resources/limits/cpu", "lots"),
    "gpus in words": ("trainer: {gpu: {count: one}}", "/trainer/gpu/count", "want integer"),
    "fewer than no gpus": ("trainer: {gpu: {count: -1}}", "/trainer/gpu/count", "minimum"),
    "gpus of no vendor": ("trainer: {gpu: {resourceName: gpu}}", "/trainer/gpu/resourceName", "gpu"),
    "a store of no kind": ("objectStore: {mode: s3}", "/objectStore/mode", "'embedded', 'external'"),
    "a flavor of none": ("objectStore: {embedded: {flavor: garage}}", "/objectStore/embedded/flavor", "'custom'"),
    "a bucket with capitals": ("objectStore: {bucket: Pilot}", "/objectStore/bucket", "Pilot"),
    "a short key": ("auth: {keys: {admin: secret}}", "/auth/keys/admin", "32"),
    "a mode of none": ("auth: {mode: oidc}", "/auth/mode", "'jwks'"),
    "a port of none": ("registry: {service: {port: 70000}}", "/registry/service/port", "65,535"),
    "no client": ("clients: []", "/clients", "minItems"),
    "a registry with a scheme": ("image: {registry: 'https://registry.example.org'}", "/image/registry", "https://"),
    "a registry with a slash": ("image: {registry: registry.example.org/}", "/image/registry", "registry.example.org/"),
    "an endpoint with a bucket": (
        "objectStore: {mode: external, external: {endpoint: 'https://s3.example.org/bucket'}}",
        "/objectStore/external/endpoint",
    ),
    "a variable that is no text": ("trainer: {extraEnv: [{name: A, value: 1}]}", "/trainer/extraEnv/0/value", "string"),
    # What is null, as a section is whose lines are all comments.
    "a section of comments": ("networkPolicy:\n  # enabled: false", "networkPolicy is null", "leave the key out"),
    "a section within one": ("aggregator: {webhook: }", "aggregator.webhook is null"),
    "no mode": ("objectStore: {mode: }", "objectStore.mode is null"),
    "clients of comments": ("clients:\n  # - {name: a}", "clients is null"),
    # What contradicts itself.
    "names that no Service may have": ("nameOverride: Fed_1", 'would be called "pilot-Fed_1"', "fullnameOverride"),
    "two writers of one SQLite": ("aggregator: {replicas: 2}", "aggregator.replicas is 2", "SQLite has one writer"),
    "two that train by themselves": (
        "aggregator: {replicas: 2, backend: local, database: {existingSecret: a}}",
        "aggregator.replicas is 2",
        "aggregator.backend=local",
    ),
    "two registries": ("registry: {replicas: 2}", "registry.replicas is 2", "leave 1"),
    "pods that share a volume": (
        "aggregator: {replicas: 2, database: {existingSecret: a}, persistence: {existingClaim: b}}",
        'aggregator.persistence.existingClaim is "b"',
    ),
    "images from nowhere": ("image: {registry: ''}", "image.registry is empty", "make images"),
    "local images that are pulled": ("image: {pullPolicy: Always}", "image.pullPolicy is Always", "IfNotPresent"),
    "an external store without an address": (
        "objectStore: {mode: external, existingSecret: s3}",
        "objectStore.external.endpoint is empty",
    ),
    "an external store without keys": (
        "objectStore: {mode: external, external: {endpoint: 'https://s3.example.org'}}",
        "objectStore.existingSecret is empty",
    ),
    "an endpoint that would not be used": (
        "objectStore: {external: {endpoint: 'https://s3.example.org'}}",
        "objectStore.mode is embedded",
    ),
    "another flavor of the same image": (
        "objectStore: {embedded: {flavor: custom}}",
        "objectStore.embedded.image.repository is still pilot/minio",
    ),
    "a bucket in a host name that is none": (
        "objectStore: {addressing: virtual-host}",
        "objectStore.addressing is virtual-host",
    ),
    "keys twice": (
        f"auth: {{existingSecret: a, keys: {{admin: {'a' * 32}}}}}",
        "auth.keys and auth.existingSecret contradict each other",
    ),
    "keys for the hook": (f"auth: {{generate: hook, keys: {{admin: {'a' * 32}}}}}", "auth.keys is not used"),
    "trainers without keys": ("auth: {mode: keys}", "auth.mode is keys", "jwks"),
    "a proxy's secret in the values": ("auth: {proxy: {secret: a}}", "/auth/proxy", "'secret' not allowed"),
    "a volume of the proxy's name": ("registry: {extraVolumes: [{name: proxy, emptyDir: {}}]}", 'has "proxy"'),
    "an unsigned webhook": ("aggregator: {webhook: {url: 'https://a'}}", "aggregator.webhook.existingSecret"),
    "an ingress to nothing": ("ingress: {enabled: true}", "ingress.enabled is true", "ingress.registryHost"),
    "one host for two": (
        "ingress: {enabled: true, registryHost: a.b, aggregatorHost: a.b}",
        'ingress.registryHost and ingress.aggregatorHost are both "a.b"',
    ),
    "a route of no gateway": (
        "httpRoute: {enabled: true, registryHost: a.b}",
        "httpRoute.parentRefs is empty",
    ),
    "certificates that nobody trusts": (
        "registry: {tls: {existingSecret: a}}",
        "tls.ca.existingConfigMap is empty",
    ),
    # What a federation cannot be.
    "a client name that is no label": (f"clients: [{{name: VQA_1, task: vqa, {DATA}}}]", 'clients[0].name is "VQA_1"'),
    "a client name with two hyphens": (f"clients: [{{name: a--b, task: vqa, {DATA}}}]", 'clients[0].name is "a--b"'),
    "a client name that is too long": (f"clients: [{{name: {'a' * 41}, task: vqa, {DATA}}}]", "clients[0].name is"),
    "a reserved client name": (f"clients: [{{name: base, task: vqa, {DATA}}}]", "that name is reserved"),
    "a client like a task": (f"clients: [{{name: vqa, task: vqa, {DATA}}}]", "share one name space"),
    "two clients of one name": (
        f"clients: [{CLIENT}}}, {{name: a, task: vqa, data: {{existingClaim: b}}}}]",
        'clients[1].name is "a", as clients[0].name is',
    ),
    "a task of nobody": (f"clients: [{{name: a, task: vqqa, {DATA}}}]", 'clients[0].task is "vqqa"', "vqa, caption"),
    "data of two sources": (
        "clients: [{name: a, task: vqa, data: {existingClaim: a, volume: {emptyDir: {}}}}]",
        "clients[0].data has existingClaim and volume: give exactly one",
    ),
    "data of no source": ("clients: [{name: a, task: vqa, data: {path: x}}]", "clients[0].data has no source"),
    "an image without a path": (
        "clients: [{name: a, task: vqa, data: {image: {repository: a}}}]",
        "clients[0].data.path is empty",
    ),
    "a path that leads upwards": (
        "clients: [{name: a, task: vqa, data: {existingClaim: a, path: ../b}}]",
        'clients[0].data.path is "../b"',
    ),
    "a volume with a name": (
        "clients: [{name: a, task: vqa, data: {volume: {name: a, emptyDir: {}}}}]",
        "clients[0].data.volume must be one volume source",
    ),
    "the same data twice": (
        f"clients: [{CLIENT}}}, {{name: b, task: vqa, {DATA}}}]",
        "clients[1].data is the same as clients[0].data",
    ),
    "data inside other data": (
        "clients: [{name: a, task: vqa, data: {existingClaim: c, path: x}}, "
        "{name: b, task: vqa, data: {existingClaim: c, path: x/y}}]",
        "clients[1].data and clients[0].data are one inside the other",
    ),
    "two models of one volume name": (
        "models: [{name: a.b, existingClaim: a}, {name: a-b, existingClaim: b}]",
        'models[1].name is "a-b", too like models[0].name',
    ),
    "a label that pods are found by": (
        "trainer: {podLabels: {app.kubernetes.io/component: mine}}",
        'trainer.podLabels has "app.kubernetes.io/component"',
    ),
    "a patch that removes the trainer": (
        f"clients: [{CLIENT}, podTemplate: {{spec: {{containers: [{{name: trainer, $patch: delete}}]}}}}}}]",
        "podTemplate of a leaves the containers none",
    ),
    "a variable twice": (
        "trainer: {extraEnv: [{name: A, value: a}, {name: A, value: b}]}",
        'trainer.extraEnv has "A" twice',
    ),
    "a volume that the chart has": (
        "aggregator: {extraVolumes: [{name: state, emptyDir: {}}]}",
        'aggregator.extraVolumes has "state"',
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_install_fails_with_a_sentence_that_names_the_key(fault):
    values, *said = FAULTS[fault]
    done = template(values=values)
    assert done.returncode != 0
    for words in said:
        assert words in done.stderr


def test_a_cluster_that_is_too_old_is_refused():
    done = template("--kube-version", "1.30.9")
    assert done.returncode != 0
    assert "requires kubeVersion: >=1.31.0-0" in done.stderr


def test_of_a_section_that_is_null_its_values_are_not_told_too():
    assert template(values="aggregator:").stderr.count("\n  - ") == 1


def test_the_chart_knows_which_values_may_not_be_null():
    assert FILE.read_text() == needed(), "python tests/chart/needed.py"


@pytest.mark.parametrize("release", ["2026-pilot", "my.pilot"])
def test_a_release_whose_name_no_service_may_have_is_refused(release):
    done = template(release=release)
    assert f'objects would be called "{release}"' in done.stderr
    assert template(release=release, values="fullnameOverride: federated").returncode == 0


def test_all_faults_are_told_at_once():
    done = template(values="aggregator: {replicas: 2}\nimage: {registry: ''}\nobjectStore: {mode: external}")
    assert done.stderr.count("\n  - ") == 4
