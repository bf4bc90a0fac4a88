"""What the chart writes is what the services read: settings, federation, Job templates, keys."""

import importlib.util

import pytest
import yaml
from chart.rendering import CHART, SETS, of_kind, rendered, rendered_with, the
from chart.restricted import violations
from pilot_aggregator.federation import federation_of
from pilot_aggregator.jobs.backend import JobRequest
from pilot_aggregator.jobs.kubernetes.render import render
from pilot_aggregator.jobs.kubernetes.templates import read_templates
from pilot_aggregator.settings import Settings as AggregatorSettings
from pilot_http.auth import read_keys
from pilot_registry.settings import Settings as RegistrySettings

SETTINGS = {"aggregator": AggregatorSettings, "registry": RegistrySettings}


def data(name, config_map, key):
    return the(rendered(name), "ConfigMap", f"pilot-{config_map}")["data"][key]


@pytest.mark.parametrize("service", SETTINGS)
@pytest.mark.parametrize("name", SETS)
def test_every_variable_of_a_service_is_a_setting_that_it_has(name, service):
    pod = the(rendered(name), "StatefulSet", f"pilot-{service}")["spec"]["template"]["spec"]
    prefix = f"PILOT_{service.upper()}_"
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        named = {entry["name"].removeprefix(prefix).lower() for entry in container["env"] if prefix in entry["name"]}
        assert named <= set(SETTINGS[service].model_fields)


@pytest.mark.parametrize("service", SETTINGS)
def test_the_settings_are_accepted(service, monkeypatch):
    pod = the(rendered("default"), "StatefulSet", f"pilot-{service}")["spec"]["template"]["spec"]
    for entry in pod["containers"][0]["env"]:
        monkeypatch.setenv(entry["name"], entry.get("value", "pilot"))
    settings = SETTINGS[service]()
    assert str(settings.state_dir) == "/state"
    assert f"pilot-{service}.pilot.svc" in settings.allowed_hosts


@pytest.mark.parametrize("name", SETS)
def test_the_federation_is_read_and_names_the_paths_of_the_mounts(name, tmp_path):
    federation = federation_of(data(name, "federation", "federation.yaml").encode(), tmp_path / "federation.yaml")
    templates = yaml.safe_load(data(name, "jobs", "jobs.yaml"))["spec"]["templates"]
    assert set(templates) == {"base", *(client.name for client in federation.spec.clients)}
    for client in federation.spec.clients:
        (container, *_) = templates[client.name]["spec"]["template"]["spec"]["containers"]
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {client.data, *(model.path for model in federation.spec.models)} <= mounted


@pytest.mark.parametrize("name", SETS)
def test_the_aggregator_makes_a_job_of_every_template(name, tmp_path):
    file = tmp_path / "jobs.yaml"
    file.write_text(data(name, "jobs", "jobs.yaml"))
    templates = read_templates(tmp_path)
    for client in templates.spec.templates:
        request = JobRequest(
            name=f"pilot-0-r1-{client}-a1",
            client=client,
            environment={"PILOT_RUN": "digits"},
            labels={"run": "digits"},
        )
        job = render(request, templates.of(client), templates.spec.namespace)
        env = [entry["name"] for entry in job["spec"]["template"]["spec"]["containers"][0]["env"]]
        assert {"PILOT_RUN", "PILOT_TOKEN_FILE", "PILOT_STATE_DIR", "PILOT_INCARNATION"} <= set(env)
        assert len(env) == len(set(env))
        if client != "south":
            assert violations(job["spec"]["template"]["spec"]) == []


MOST_BYTES = 1 << 20
"""What an API server takes in one ConfigMap."""


def test_the_templates_of_many_clients_fit_into_config_maps_and_are_all_read(tmp_path):
    names = [f"c-{number}" for number in range(120)]
    clients = [{"name": name, "task": "vqa", "data": {"existingClaim": f"data-{name}"}} for name in names]
    found = rendered_with(yaml.safe_dump({"clients": clients}))
    for service in ("StatefulSet", "Pod"):
        for pod in (p.get("spec", {}).get("template", p) for p in of_kind(found, service)):
            for volume in (v for v in pod["spec"]["volumes"] if v["name"] == "jobs"):
                sources = [source["configMap"] for source in volume["projected"]["sources"]]
                assert [source["name"] for source in sources] == ["pilot-jobs", "pilot-jobs-1", "pilot-jobs-2"]
                assert len({item["path"] for source in sources for item in source["items"]}) == 3
    for name in ("pilot-jobs", "pilot-jobs-1", "pilot-jobs-2"):
        text = the(found, "ConfigMap", name)["data"]["jobs.yaml"]
        assert len(text.encode()) < MOST_BYTES / 2
        (tmp_path / f"{name}.yaml").write_text(text)
    assert set(read_templates(tmp_path).spec.templates) == {"base", *names}


def test_the_digits_federation_is_the_one_that_the_package_writes():
    from pilot_digits.documents import federation_yaml
    from pilot_digits.federation import MODEL_PATH
    from pilot_digits.profiles import profiles

    packaged = yaml.safe_load(federation_yaml("digits", profiles("digits", 0), MODEL_PATH))["spec"]
    charted = yaml.safe_load(data("default", "federation", "federation.yaml"))["spec"]
    assert charted["tasks"] == packaged["tasks"]
    assert [(c["name"], c["task"]) for c in charted["clients"]] == [(c["name"], c["task"]) for c in packaged["clients"]]


def test_the_digits_run_is_the_one_that_the_package_writes():
    from pilot_digits.runs import run_yaml

    assert (CHART / "examples" / "run-digits.yaml").read_text() == run_yaml("digits", "run.yaml")


def test_generated_keys_open_the_services(tmp_path):
    import base64

    secret = the(rendered("gpu"), "Secret", "pilot-keys")["data"]
    file = tmp_path / "keys.yaml"
    file.write_bytes(base64.b64decode(secret["keys.yaml"]))
    authenticate = read_keys(file)
    for role in ("viewer", "operator", "admin", "aggregator"):
        key = base64.b64decode(secret[f"{role}.key"]).decode()
        assert str(authenticate(key)) == role
    assert base64.b64decode(secret["viewer.key"]).decode() == "viewer-key-of-at-least-32-characters"


def test_keys_that_the_hook_makes_open_the_services(tmp_path):
    spec = importlib.util.spec_from_file_location("make_keys", CHART / "files" / "make_keys.py")
    assert spec is not None
    assert spec.loader is not None
    make_keys = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_keys)
    made = make_keys.of_keys()
    file = tmp_path / "keys.yaml"
    file.write_text(made["keys.yaml"])
    authenticate = read_keys(file)
    for role in ("viewer", "operator", "admin", "aggregator"):
        assert str(authenticate(made[f"{role}.key"])) == role
    assert make_keys.of_keys() != made
