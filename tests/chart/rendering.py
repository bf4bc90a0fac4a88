"""The chart as Helm renders it, as plain objects.

PILOT_HELM names another helm than those of `make helm`, of the test cluster and of the PATH. Without any, such tests
are skipped, visibly; where PILOT_REQUIRE names helm, they fail instead.
"""

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "pilot"
SETS = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
EXAMPLES = sorted(path.name for path in (CHART / "examples").glob("values-*.yaml"))
RELEASE, NAMESPACE, KUBERNETES = "pilot", "pilot", "1.34.0"
CACHE = Path(os.environ.get("PILOT_CLUSTER_CACHE", Path.home() / ".cache" / "pilot-cluster"))
PLACES = (ROOT / ".helm" / "bin" / "helm", CACHE / "bin" / "helm")

Object = dict[str, Any]


def tool(name: str, *places: Path) -> str | None:
    """A program: where the environment says, where `make` puts it, or in the PATH."""
    named = os.environ.get(f"PILOT_{name.upper().replace('-', '_')}")
    found = next((str(place) for place in places if place.exists()), None)
    return named or found or shutil.which(name)


def demand_helm() -> str:
    """The program; skips the test where there is none, fails it where nothing may be skipped."""
    return demand("helm", *PLACES)


def demand(name: str, *places: Path) -> str:
    """A program that `make helm` builds."""
    if found := tool(name, *places):
        return found
    reason = f"no {name}: make helm"
    if name in os.environ.get("PILOT_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)


def helm(*arguments: str, values: str = "") -> subprocess.CompletedProcess[str]:
    """Run helm over the chart, away from every cluster; `values` is YAML for its standard input."""
    command = [demand_helm(), *arguments, *(["-f", "-"] if values else [])]
    environment = {**os.environ, "KUBECONFIG": "/dev/null"}
    return subprocess.run(command, input=values, capture_output=True, text=True, env=environment, timeout=60)


def template(*arguments: str, values: str = "", release: str = RELEASE) -> subprocess.CompletedProcess[str]:
    """`helm template`."""
    fixed = ("--namespace", NAMESPACE, "--kube-version", KUBERNETES)
    return helm("template", release, str(CHART), *fixed, *arguments, values=values)


@functools.cache
def rendered(name: str) -> list[Object]:
    """Every object of a set of `ci/`, or of a file of `examples/`."""
    file = CHART / "examples" / name if name.endswith(".yaml") else CHART / "ci" / f"{name}-values.yaml"
    return objects(template("-f", str(file)))


@functools.cache
def rendered_with(values: str) -> list[Object]:
    """Every object, with values given as YAML."""
    return objects(template(values=values))


def objects(done: subprocess.CompletedProcess[str]) -> list[Object]:
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def the(found: list[Object], kind: str, name: str) -> Object:
    """The one object of a kind and name."""
    matching = [thing for thing in found if thing["kind"] == kind and thing["metadata"]["name"] == name]
    assert len(matching) == 1, f"{len(matching)} objects are {kind} {name}"
    return matching[0]


def of_kind(found: list[Object], kind: str) -> list[Object]:
    return [thing for thing in found if thing["kind"] == kind]


def job_templates(found: list[Object]) -> dict[str, Object]:
    """What the aggregator makes Jobs from, by client."""
    document = yaml.safe_load(the(found, "ConfigMap", "pilot-jobs")["data"]["jobs.yaml"])
    templates: dict[str, Object] = document["spec"]["templates"]
    return templates


def trainer(found: list[Object], client: str) -> Object:
    """The container of a client's trainer."""
    containers = job_templates(found)[client]["spec"]["template"]["spec"]["containers"]
    return next(container for container in containers if container["name"] == "trainer")


def jobs(found: list[Object]) -> list[Object]:
    """Whole Jobs, as near as can be to what the aggregator creates."""
    made = []
    for client, skeleton in job_templates(found).items():
        pod = skeleton["spec"]["template"]
        made.append(
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {**skeleton["metadata"], "name": f"job-{client}"},
                "spec": {"template": {**pod, "spec": {**pod["spec"], "restartPolicy": "Never"}}},
            }
        )
    return made


def pods(found: list[Object]) -> dict[str, Object]:
    """Every pod's spec, those of Jobs and of Job templates included."""
    specs = {}
    for thing in [*found, *jobs(found)]:
        name = f"{thing['kind']} {thing['metadata']['name']}"
        if thing["kind"] == "Pod":
            specs[name] = thing["spec"]
        elif thing["kind"] in ("StatefulSet", "Job"):
            specs[name] = thing["spec"]["template"]["spec"]
    return specs


def containers(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", []), *pod["containers"]]
