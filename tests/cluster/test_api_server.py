"""What a real API server says of the chart's objects, without a pod: are they accepted, and who may do what?"""

import json

import pytest
import yaml
from chart.rendering import NAMESPACE, SETS, job_templates, of_kind, rendered
from chart.schemas import FOREIGN
from cluster.kubectl import Cluster
from cluster.release import fresh_namespace
from pilot_aggregator.jobs.backend import JobRequest
from pilot_aggregator.jobs.kubernetes.render import render

NAMESPACES = (NAMESPACE, "pilot-trainers")
"""As the renders have them."""
ACCESS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")

AGGREGATOR = {
    *(("batch", "jobs", verb) for verb in ("create", "get", "list", "watch", "patch", "delete")),
    *(("", "pods", verb) for verb in ("get", "list", "watch")),
    ("", "pods/log", "get"),
    *(("", "events", verb) for verb in ("create", "list", "watch")),
    *(("", "configmaps", verb) for verb in ("create", "get", "list", "patch", "delete")),
}
REGISTRY = {("", "pods", "get")}
ASKED = [
    *AGGREGATOR,
    *(("", "secrets", verb) for verb in ("get", "list", "watch", "create", "update", "patch", "delete")),
    *(("", "pods", verb) for verb in ("create", "update", "patch", "delete")),
    *(("", part, verb) for part in ("pods/exec", "pods/attach", "pods/portforward") for verb in ("create", "get")),
    *(("", "pods/ephemeralcontainers", verb) for verb in ("update", "patch")),
    ("", "serviceaccounts", "impersonate"),
    ("", "serviceaccounts/token", "create"),
    *(("", "persistentvolumeclaims", verb) for verb in ("get", "create", "delete")),
    *(("batch", "jobs", verb) for verb in ("update", "deletecollection")),
    ("batch", "cronjobs", "create"),
    *(("apps", kind, verb) for kind in ("deployments", "statefulsets") for verb in ("get", "create", "patch")),
    *(("rbac.authorization.k8s.io", "roles", verb) for verb in ("create", "update", "bind", "escalate")),
    ("rbac.authorization.k8s.io", "rolebindings", "create"),
    ("coordination.k8s.io", "leases", "create"),
    ("authentication.k8s.io", "tokenreviews", "create"),
    ("", "nodes", "get"),
    ("", "nodes/proxy", "get"),
    ("", "namespaces", "list"),
]


@pytest.fixture(scope="module")
def empty(cluster: Cluster):
    with fresh_namespace(cluster, NAMESPACES[0]), fresh_namespace(cluster, NAMESPACES[1]):
        yield cluster


def accepted(cluster: Cluster, things: list) -> int:
    """How many objects the server would take."""
    text = "\n---\n".join(json.dumps(thing) for thing in things)
    # No namespace but their own.
    told = cluster.kubectl("apply", "--dry-run=server", "-f", "-", namespace="", text=text)
    return len(told.splitlines())


@pytest.mark.parametrize("name", SETS)
def test_the_server_would_take_every_object_and_a_job_of_every_client(empty, name):
    things = [thing for thing in rendered(name) if thing["kind"] not in FOREIGN]
    # The server takes no pod, not even on trial, whose account is not there.
    empty.kubectl("apply", "-f", "-", namespace="", text=json.dumps(listed(of_kind(things, "ServiceAccount"))))
    assert accepted(empty, [*things, *jobs_of(things)]) == len(things) + len(job_templates(things))


def jobs_of(things: list) -> list:
    (document,) = [thing["data"]["jobs.yaml"] for thing in of_kind(things, "ConfigMap") if "jobs.yaml" in thing["data"]]
    namespace, labels = yaml.safe_load(document)["spec"]["namespace"], {"run": "t", "run-uid": "a"}
    return [
        render(JobRequest(f"pilot-a-r1-{client}-a1", client, {}, labels, 60), template, namespace)
        for client, template in job_templates(things).items()
    ]


def listed(things: list) -> dict:
    return {"apiVersion": "v1", "kind": "List", "items": things}


def allowed(cluster: Cluster, account: str, namespace: str | None) -> set[tuple[str, str, str]]:
    """What of all that is asked an account of the namespace `pilot` may do in a namespace, or everywhere."""
    reviews = []
    for group, resource, verb in ASKED:
        name, _, part = resource.partition("/")
        attributes = {"group": group, "resource": name, "subresource": part, "verb": verb, "namespace": namespace or ""}
        spec = {"user": f"system:serviceaccount:{NAMESPACE}:{account}", "resourceAttributes": attributes}
        spec["groups"] = ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"]
        reviews.append({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
    text = "\n---\n".join(json.dumps(review) for review in reviews)
    told = cluster.kubectl("create", "-f", "-", "-o", "json", namespace=NAMESPACE, text=text)
    decoder, answers, at = json.JSONDecoder(), [], 0
    while at < len(told.rstrip()):
        answer, at = decoder.raw_decode(told, at)
        answers += answer.get("items", [answer])
        at += len(told[at:]) - len(told[at:].lstrip())
    assert len(answers) == len(ASKED)
    return {asked for asked, answer in zip(ASKED, answers, strict=True) if answer["status"]["allowed"]}


@pytest.fixture(scope="module")
def accounts(empty):
    """The accounts and rights of the default values, made for real."""
    things = [thing for thing in rendered("default") if thing["kind"] in ACCESS]
    empty.apply(*things, namespace=NAMESPACE)
    return empty


def test_the_aggregator_may_make_jobs_and_nothing_that_would_give_it_more(accounts):
    assert allowed(accounts, "pilot-aggregator", NAMESPACE) == AGGREGATOR


def test_the_registry_may_look_at_a_pod(accounts):
    assert allowed(accounts, "pilot-registry", NAMESPACE) == REGISTRY


@pytest.mark.parametrize("account", ["pilot-client-base", "pilot-client-vqa-1", "default"])
def test_trainers_may_do_nothing_at_all(accounts, account):
    assert allowed(accounts, account, NAMESPACE) == set()


@pytest.mark.parametrize("account", ["pilot-aggregator", "pilot-registry", "pilot-client-vqa-1"])
@pytest.mark.parametrize("where", ["kube-system", None])
def test_nobody_may_do_anything_elsewhere(accounts, account, where):
    assert allowed(accounts, account, where) == set()
