"""What the chart renders: goldens, Kubernetes' schemas, Pod Security, and what every object must have."""

import difflib

import pytest
import yaml
from chart import golden
from chart.rendering import (
    CHART,
    EXAMPLES,
    SETS,
    Object,
    containers,
    helm,
    jobs,
    of_kind,
    pods,
    rendered,
    the,
)
from chart.restricted import violations
from chart.schemas import FOREIGN, Schemas, releases

ALL = [*SETS, *EXAMPLES]


@pytest.mark.parametrize("name", SETS)
def test_a_render_is_the_one_that_was_reviewed(name):
    reviewed = golden.file_of(name).read_text()
    now = golden.golden(name)
    difference = "\n".join(difflib.unified_diff(reviewed.splitlines(), now.splitlines(), lineterm="", n=2))
    assert not difference, f"look at it, and if it is meant: python tests/chart/golden.py\n{difference[:4000]}"


@pytest.mark.parametrize("name", ALL)
def test_helm_finds_nothing_to_complain_of(name):
    file = CHART / ("examples" if name in EXAMPLES else "ci") / (name if name in EXAMPLES else f"{name}-values.yaml")
    done = helm("lint", "--strict", str(CHART), "-f", str(file))
    assert done.returncode == 0, done.stdout


def test_every_supported_release_of_kubernetes_knows_every_field():
    found = {}
    things = {yaml.safe_dump(thing): thing for name in ALL for thing in [*rendered(name), *jobs(rendered(name))]}
    versions = releases()
    assert "1.31" in versions
    for version, folder in versions.items():
        schemas = Schemas(folder)
        faults = [f for thing in things.values() if thing["kind"] not in FOREIGN for f in schemas.faults(thing)]
        if faults:
            found[version] = faults
    assert not found


def test_the_schemas_would_notice_a_field_that_does_not_exist():
    broken = {**the(rendered("default"), "StatefulSet", "pilot-registry")}
    broken["spec"] = {**broken["spec"], "replica": 1}
    assert Schemas(releases()["1.34"]).faults(broken)


@pytest.mark.parametrize("name", SETS)
def test_every_pod_meets_pod_security_restricted(name):
    # What a person's own volume is, the person says: an NFS volume is refused by `restricted`.
    allowed = {"gpu": {"Job job-south": ["volume data is of a forbidden kind"]}}.get(name, {})
    found = {pod: faults for pod, spec in pods(rendered(name)).items() if (faults := violations(spec))}
    assert found == allowed


def test_the_check_of_pod_security_would_notice_each_fault():
    pod = {
        "hostNetwork": True,
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
        "containers": [{"name": "bad", "securityContext": {"privileged": True, "capabilities": {"add": ["ALL"]}}}],
    }
    assert len(violations(pod)) == 7


@pytest.mark.parametrize("name", SETS)
def test_every_root_file_system_is_read_only_and_every_container_of_ours_has_bounds(name):
    for pod, spec in pods(rendered(name)).items():
        for container in containers(spec):
            if container["name"] == "watcher":
                continue
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, pod
            assert {"requests", "limits"} <= set(container["resources"]), pod
            assert container["resources"]["limits"]["memory"], pod


@pytest.mark.parametrize("name", SETS)
def test_no_name_stands_twice_in_a_list(name):
    for pod, spec in pods(rendered(name)).items():
        assert _twice(volume["name"] for volume in spec.get("volumes", [])) == set(), pod
        assert _twice(container["name"] for container in containers(spec)) == set(), pod
        for container in containers(spec):
            assert _twice(entry["name"] for entry in container.get("env", [])) == set(), pod
            assert _twice(mount["mountPath"] for mount in container.get("volumeMounts", [])) == set(), pod
            assert _twice(port["containerPort"] for port in container.get("ports", [])) == set(), pod


@pytest.mark.parametrize("name", SETS)
def test_every_mount_has_its_volume_and_every_volume_its_object(name):
    found = rendered(name)
    made = {(thing["kind"], thing["metadata"]["name"]) for thing in found}
    ours = [kind for kind in ("ConfigMap", "PersistentVolumeClaim") if name != "gpu"]
    for pod, spec in pods(found).items():
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        for container in containers(spec):
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes, pod
        for volume in spec.get("volumes", []):
            needed = (
                ("ConfigMap", volume.get("configMap", {}).get("name")),
                (
                    "PersistentVolumeClaim",
                    volume.get("persistentVolumeClaim", {}).get("claimName"),
                ),
            )
            for kind, wanted in needed:
                if wanted and wanted.startswith("pilot-") and wanted != "pilot-ca" and kind in ours:
                    assert (kind, wanted) in made, pod


@pytest.mark.parametrize("name", SETS)
def test_a_token_of_kubernetes_is_only_where_the_api_is_called(name):
    callers = {
        "StatefulSet pilot-aggregator",
        "StatefulSet pilot-registry",
        "Job pilot-make-keys",
        "Pod pilot-test-jobs",
    }
    for pod, spec in pods(rendered(name)).items():
        assert spec["automountServiceAccountToken"] is (pod in callers), pod
    for account in of_kind(rendered(name), "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", SETS)
def test_nothing_is_of_the_cluster_unless_token_review_asks_for_it(name):
    cluster = [thing["kind"] for thing in rendered(name) if thing["kind"].startswith("Cluster")]
    assert cluster == (["ClusterRole", "ClusterRoleBinding"] if name == "gpu" else [])
    for thing in rendered(name):
        assert thing["kind"].startswith("Cluster") or thing["metadata"]["namespace"]


@pytest.mark.parametrize("name", SETS)
def test_every_object_says_whose_it_is(name):
    for thing in rendered(name):
        if thing["metadata"]["name"] in ("pilot-extra", "pilot-text"):
            continue
        labels = thing["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "pilot"
        assert labels["app.kubernetes.io/instance"] == "pilot"


@pytest.mark.parametrize("name", SETS)
def test_every_hook_has_a_delete_policy_and_every_hook_that_runs_a_deadline(name):
    hooks = [thing for thing in rendered(name) if "helm.sh/hook" in thing["metadata"].get("annotations", {})]
    assert hooks
    for hook in hooks:
        assert hook["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        if hook["kind"] in ("Job", "Pod"):
            assert hook["spec"]["activeDeadlineSeconds"] == 300


def test_labels_for_hooks_reach_jobs_and_their_pods():
    label = {"kueue.x-k8s.io/queue-name": "pilot"}
    found = rendered("hook")
    job = the(found, "Job", "pilot-make-keys")
    for thing in (job, job["spec"]["template"], the(found, "Pod", "pilot-test-jobs")):
        assert label.items() <= thing["metadata"]["labels"].items()


def test_with_the_hook_nothing_random_is_rendered():
    assert of_kind(rendered("hook"), "Secret") == []


def test_volumes_and_secrets_survive_an_uninstall():
    found = rendered("default")
    kept = [*of_kind(found, "PersistentVolumeClaim"), *of_kind(found, "Secret")]
    assert len(kept) == 3 + 9 + 2
    for thing in kept:
        assert thing["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_nobody_waits_for_volumes_that_bind_at_the_first_run():
    for claim in of_kind(rendered("default"), "PersistentVolumeClaim"):
        hook = claim["metadata"]["annotations"].get("helm.sh/hook")
        assert (hook == "pre-install,pre-upgrade") is ("-state-" in claim["metadata"]["name"])


def test_other_jobs_or_identities_roll_the_pods_and_another_federation_does_not():
    def checksums(found: list[Object], service: str) -> dict[str, str]:
        annotations = the(found, "StatefulSet", f"pilot-{service}")["spec"]["template"]["metadata"]["annotations"]
        return {key: value for key, value in annotations.items() if key.startswith("checksum/")}

    default, gpu = rendered("default"), rendered("gpu")
    assert set(checksums(default, "aggregator")) == {"checksum/jobs", "checksum/identities"}
    assert checksums(default, "aggregator") != checksums(gpu, "aggregator")
    assert checksums(default, "registry") != checksums(gpu, "registry")


@pytest.fixture
def notes_without_a_cluster():
    if not helm("version", "--short").stdout.startswith("v4"):
        pytest.skip("Helm 3 shows notes only where there is a cluster")


@pytest.mark.usefixtures("notes_without_a_cluster")
def test_notes_give_the_next_commands_and_say_what_is_not_so_good():
    done = helm("install", "pilot", str(CHART), "--dry-run=client", "--namespace", "team")
    notes = " ".join(done.stdout.partition("NOTES:")[2].split())
    assert done.returncode == 0, done.stderr
    for said in (
        "helm test pilot -n team",
        "port-forward service/pilot-aggregator",
        "pilot login http://localhost:8600",
        "get secret pilot-keys",
        "Sign in with a key",
        "http://localhost:8601/ui",
        "kind load docker-image",
        "ImagePullBackOff",
        "It is archived",
        "trainer.namespace",
        "helm uninstall pilot` keeps",
    ):
        assert said in notes


@pytest.mark.usefixtures("notes_without_a_cluster")
def test_notes_do_not_speak_of_what_is_not_there():
    values = (CHART / "ci" / "external-values.yaml").read_text()
    done = helm("install", "pilot", str(CHART), "--dry-run=client", values=values)
    notes = done.stdout.partition("NOTES:")[2]
    assert "archived" not in notes
    assert "kind load" not in notes
    assert "adapters.example.org/ui" in notes
    assert "must set the three headers" in notes
    assert "https://localhost:8600" in notes


def _twice(names):
    seen, twice = set(), set()
    for name in names:
        (twice if name in seen else seen).add(name)
    return twice
