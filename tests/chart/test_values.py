"""Values that mean something reach the place where they mean it."""

import pytest
from chart.rendering import job_templates, of_kind, rendered, rendered_with, the, trainer

GPU = "nvidia.com/gpu"
ONE = "- {name: vqa-1, task: vqa, data: {image: {repository: pilot/digits}, path: /digits/data/vqa-1}"


def pod(found, client):
    return job_templates(found)[client]["spec"]["template"]["spec"]


def test_the_default_asks_for_no_gpu():
    for client in job_templates(rendered("default")):
        assert set(trainer(rendered("default"), client)["resources"]["limits"]) == {"memory"}


def test_a_gpu_is_a_limit_of_the_resource_that_is_named():
    found = rendered("gpu")
    assert trainer(found, "north")["resources"]["limits"] == {"memory": "96Gi", GPU: 2}
    assert trainer(found, "south")["resources"]["limits"] == {"memory": "64Gi", "nvidia.com/mig-1g.10gb": 1}


def test_a_client_can_say_zero_where_the_others_have_one():
    assert trainer(rendered("gpu"), "west")["resources"]["limits"] == {"memory": "64Gi"}
    assert trainer(rendered("gpu"), "base")["resources"]["limits"] == {"memory": "64Gi"}


def test_a_clients_empty_list_replaces_the_tolerations_of_all():
    assert "tolerations" not in pod(rendered("gpu"), "north")
    assert pod(rendered("gpu"), "south")["tolerations"][0]["key"] == GPU


def test_claims_of_dynamic_resource_allocation_are_of_the_pod_and_of_the_container():
    assert pod(rendered("gpu"), "west")["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]
    assert trainer(rendered("gpu"), "west")["resources"]["claims"] == [{"name": "gpu"}]


def test_placement_reaches_the_pod():
    assert pod(rendered("gpu"), "north")["nodeSelector"] == {"site": "north"}
    for key, value in {"runtimeClassName": "nvidia", "priorityClassName": "training", "schedulerName": "kai"}.items():
        assert pod(rendered("gpu"), "south")[key] == value


def test_a_queue_is_three_labels_of_the_job():
    labels = job_templates(rendered("gpu"))["north"]["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/queue-name"] == "north-gpus"
    assert labels["kueue.x-k8s.io/priority-class"] == "low"
    assert labels["kueue.x-k8s.io/max-exec-time-seconds"] == "86400"
    assert labels["team"] == "vision"
    default = job_templates(rendered("default"))["vqa-1"]["metadata"]["labels"]
    assert not [label for label in default if "kueue" in label]


def test_a_patch_merges_by_name_and_has_the_last_word():
    found = rendered("gpu")
    env = {entry["name"]: entry.get("value") for entry in trainer(found, "north")["env"]}
    assert env["NCCL_DEBUG"] == "INFO"
    assert env["PILOT_STATE_DIR"] == "/state"
    assert [container["name"] for container in pod(found, "north")["containers"]] == ["trainer", "watcher"]
    assert pod(found, "north")["hostAliases"] == [{"ip": "10.0.0.1", "hostnames": ["nfs.north"]}]
    assert "hostAliases" not in pod(found, "south")


def test_a_patch_can_remove_what_the_chart_has():
    values = f"""
clients:
  {ONE}, podTemplate: {{spec: {{containers: [{{name: trainer, env: [{{name: HF_HUB_OFFLINE, $patch: delete}}]}}]}}}}}}
"""
    env = [entry["name"] for entry in trainer(rendered_with(values), "vqa-1")["env"]]
    assert "HF_HUB_OFFLINE" not in env
    assert "OMP_NUM_THREADS" in env


def test_an_extra_variable_replaces_the_one_of_its_name():
    env = the(rendered("external"), "StatefulSet", "pilot-registry")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [entry["value"] for entry in env if entry["name"] == "PILOT_REGISTRY_LOG_FORMAT"] == ["text"]


def test_data_and_models_are_read_only_at_paths_of_their_own():
    mounts = {mount["mountPath"]: mount for mount in trainer(rendered("gpu"), "north")["volumeMounts"]}
    assert mounts["/data/north"]["subPath"] == "vqa/v3"
    assert mounts["/models/llava-next"]["subPath"] == "llava-next"
    for path in ("/data/north", "/models/llava-next", "/models/llava-1.5-7b"):
        assert mounts[path]["readOnly"] is True
    claims = {
        v["name"]: v["persistentVolumeClaim"]
        for v in pod(rendered("gpu"), "north")["volumes"]
        if "persistentVolumeClaim" in v
    }
    assert claims["data"] == {"claimName": "north-images", "readOnly": True}
    assert claims["state"] == {"claimName": "north-state"}


def test_what_an_image_holds_is_copied_before_the_trainer_starts():
    commands = {c["name"]: c["command"] for c in pod(rendered("default"), "vqa-1")["initContainers"]}
    assert commands == {
        "copy-model-digits-tiny": ["cp", "-r", "/digits/models/digits-tiny/.", "/models/digits-tiny/"],
        "copy-data": ["cp", "-r", "/digits/data/vqa-1/.", "/data/vqa-1/"],
    }


def test_a_download_has_a_claim_a_job_and_the_token():
    found = rendered("gpu")
    assert the(found, "PersistentVolumeClaim", "pilot-model-llava-1-5-7b")["spec"]["accessModes"] == ["ReadWriteMany"]
    (job,) = of_kind(found, "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    env = {entry["name"]: entry for entry in container["env"]}
    assert env["REPOSITORY"]["value"] == "llava-hf/llava-1.5-7b-hf"
    assert env["HF_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "hub-token", "key": "token"}


def test_the_longest_names_still_fit_the_label_that_a_jobs_pods_have():
    longest = "m" * 40
    values = f"fullnameOverride: {'f' * 40}\nmodels: [{{name: {longest}, download: {{repository: a/b, size: 1Gi}}}}]"
    names = [job["metadata"]["name"] for job in of_kind(rendered_with(values), "Job")]
    assert max(len(name) for name in names) <= 63


def test_another_download_is_another_job():
    def name(revision: str) -> str:
        download = f"{{repository: a/b, size: 1Gi, revision: {revision}}}"
        (job,) = of_kind(rendered_with(f"models: [{{name: m, download: {download}}}]"), "Job")
        return job["metadata"]["name"]

    assert name("one") == name("one")
    assert name("one") != name("two")


def test_a_namespace_of_their_own_holds_all_that_is_the_trainers():
    found = rendered("hook")
    theirs = {(t["kind"], t["metadata"]["name"]) for t in found if t["metadata"]["namespace"] == "pilot-trainers"}
    assert theirs == {
        ("NetworkPolicy", "pilot-trainer"),
        ("PersistentVolumeClaim", "pilot-state-vqa-1"),
        ("Role", "pilot-aggregator"),
        ("Role", "pilot-identity"),
        ("RoleBinding", "pilot-aggregator"),
        ("RoleBinding", "pilot-identity"),
        ("ServiceAccount", "pilot-client-base"),
        ("ServiceAccount", "pilot-client-vqa-1"),
    }


def test_a_digest_wins_over_a_tag():
    digest = f"sha256:{'a' * 64}"
    found = rendered_with(f"registry: {{image: {{tag: '1', digest: '{digest}'}}}}")
    image = the(found, "StatefulSet", "pilot-registry")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"localhost/pilot/registry@{digest}"


def test_tls_changes_scheme_probes_and_trust_together():
    found = rendered("external")
    container = the(found, "StatefulSet", "pilot-aggregator")["spec"]["template"]["spec"]["containers"][0]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["PILOT_AGGREGATOR_REGISTRY_URL"] == "https://pilot-registry.pilot.svc:8601"
    assert env["PILOT_AGGREGATOR_TLS_CERT_FILE"] == "/etc/pilot/tls/tls.crt"
    assert env["SSL_CERT_FILE"] == "/etc/pilot/ca/ca.crt"
    assert container["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
    assert {"name": "ca", "mountPath": "/etc/pilot/ca", "readOnly": True} in trainer(found, "vqa-1")["volumeMounts"]


def test_the_registry_finds_the_aggregator_and_trusts_its_certificate_but_for_the_bucket_another():
    spec = the(rendered("external"), "StatefulSet", "pilot-registry")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["PILOT_REGISTRY_AGGREGATOR_URL"] == "https://pilot-aggregator.pilot.svc:8600"
    assert env["PILOT_CA_FILE"] == "/etc/pilot/ca/ca.crt"
    assert env["PILOT_REGISTRY_S3_CA_FILE"] == "/etc/pilot/objectstore-ca/ca.crt"
    assert "SSL_CERT_FILE" not in env
    assert {"name": "ca", "mountPath": "/etc/pilot/ca", "readOnly": True} in container["volumeMounts"]
    plain = the(rendered("default"), "StatefulSet", "pilot-registry")["spec"]["template"]["spec"]["containers"][0]
    env = {entry["name"]: entry.get("value") for entry in plain["env"]}
    assert env["PILOT_REGISTRY_AGGREGATOR_URL"] == "http://pilot-aggregator.pilot.svc:8600"
    assert "PILOT_CA_FILE" not in env


def test_the_file_of_a_proxy_that_signs_people_in_reaches_both_services():
    for service in ("aggregator", "registry"):
        spec = the(rendered("external"), "StatefulSet", f"pilot-{service}")["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        env = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert env[f"PILOT_{service.upper()}_AUTH_PROXY"] == "/etc/pilot/proxy/proxy.yaml"
        assert {"name": "proxy", "mountPath": "/etc/pilot/proxy", "readOnly": True} in container["volumeMounts"]
        (volume,) = (each for each in spec["volumes"] if each["name"] == "proxy")
        assert volume["secret"] == {
            "secretName": "sign-in",
            "defaultMode": 0o440,
            "items": [{"key": "proxy.yaml", "path": "proxy.yaml"}],
        }
        plain = the(rendered("default"), "StatefulSet", f"pilot-{service}")["spec"]["template"]["spec"]
        assert not [each for each in plain["volumes"] if each["name"] == "proxy"]
        assert not [each for each in plain["containers"][0]["env"] if each["name"].endswith("AUTH_PROXY")]


NULLABLE = "{limits: , requests: }", "", "null"


@pytest.mark.parametrize("nothing", NULLABLE)
def test_resources_may_be_left_to_the_cluster(nothing):
    found = rendered_with(f"trainer: {{resources: {nothing}}}\naggregator: {{resources: {nothing}}}")
    container = the(found, "StatefulSet", "pilot-aggregator")["spec"]["template"]["spec"]["containers"][0]
    for resources in (container["resources"], trainer(found, "vqa-1")["resources"]):
        assert not resources or not any(resources.values())
    with_gpu = trainer(rendered_with(f"trainer: {{resources: {nothing}, gpu: {{count: 1}}}}"), "vqa-1")
    assert with_gpu["resources"]["limits"] == {"nvidia.com/gpu": 1}


def test_a_name_that_is_null_is_no_name():
    found = rendered_with("aggregator: {tls: {existingSecret: }}\nallowedHosts:\nauth: {keys: }")
    container = the(found, "StatefulSet", "pilot-aggregator")["spec"]["template"]["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"]["scheme"] == "HTTP"


def test_several_aggregators_have_a_lease_a_budget_and_no_volume():
    found = rendered("external")
    assert the(found, "Lease", "pilot-aggregator")
    assert the(found, "PodDisruptionBudget", "pilot-aggregator")["spec"]["minAvailable"] == 1
    assert [
        claim for claim in of_kind(found, "PersistentVolumeClaim") if claim["metadata"]["name"] == "pilot-aggregator"
    ] == []
    assert not of_kind(rendered("default"), "PodDisruptionBudget")


def test_the_service_leads_to_who_has_the_lease_wherever_a_second_may_come():
    alone = rendered_with("aggregator: {database: {existingSecret: postgres}}\nchecks: {references: false}")
    for found in (rendered("external"), alone):
        selector = the(found, "Service", "pilot-aggregator")["spec"]["selector"]
        assert selector["pilot.federated/leads"] == "true"
        assert the(found, "Lease", "pilot-aggregator")
    assert "pilot.federated/leads" not in the(rendered("default"), "Service", "pilot-aggregator")["spec"]["selector"]


def test_host_names_of_an_ingress_are_let_in():
    container = the(rendered("external"), "StatefulSet", "pilot-registry")["spec"]["template"]["spec"]["containers"][0]
    hosts = next(e["value"] for e in container["env"] if e["name"] == "PILOT_REGISTRY_ALLOWED_HOSTS").split(",")
    assert {"adapters.example.org", "adapters.gateway.example.org", "pilot-registry.pilot.svc", "localhost"} <= set(
        hosts
    )
    assert "runs.example.org" not in hosts
