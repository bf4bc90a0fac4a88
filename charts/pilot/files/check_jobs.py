"""`helm test`, as the aggregator's ServiceAccount: would every Job be accepted, and is nothing else allowed?"""

import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
JOBS = Path("/etc/pilot/jobs")
NEEDED = (
    ("batch", "jobs", "", ("create", "get", "list", "watch", "patch", "delete")),
    ("", "pods", "", ("get", "list", "watch")),
    ("", "pods", "log", ("get",)),
    ("", "events", "", ("create", "list", "watch")),
    ("", "configmaps", "", ("create", "get", "list", "patch", "delete")),
)
DENIED = (
    ("", "secrets", "", ("get", "list", "create", "update", "delete")),
    ("", "pods", "", ("create", "delete", "patch")),
    ("", "pods", "exec", ("create", "get")),
    ("", "serviceaccounts", "token", ("create",)),
    ("", "persistentvolumeclaims", "", ("delete",)),
    ("rbac.authorization.k8s.io", "roles", "", ("create", "update", "escalate")),
    ("rbac.authorization.k8s.io", "rolebindings", "", ("create", "update")),
)


def main() -> int:
    """The exit code: 1 at the first thing that is not as it should be."""
    shares = [yaml.safe_load(file.read_text())["spec"] for file in sorted(JOBS.glob("*.yaml"))]
    namespace = shares[0]["namespace"]
    templates = {client: template for share in shares for client, template in share["templates"].items()}
    try:
        for table, expected in ((NEEDED, True), (DENIED, False)):
            for group, resource, part, verbs in table:
                for verb in verbs:
                    check_access(namespace, group, resource, part, verb, expected)
        print(f"ok  the aggregator may do in {namespace} what it must, and the tried rest is denied")
        for client, template in templates.items():
            check_job(namespace, client, template)
        print(f"ok  the API server would take a Job of each: {', '.join(templates)}")
    except (AssertionError, OSError) as error:
        print(f"FAILED  {error}")
        return 1
    return 0


def check_access(namespace: str, group: str, resource: str, part: str, verb: str, expected: bool) -> None:
    attributes = {"namespace": namespace, "group": group, "resource": resource, "subresource": part, "verb": verb}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    answer = post(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {**review, "spec": {"resourceAttributes": attributes}}
    )
    allowed = answer["status"]["allowed"]
    name = f"{verb} {resource}{'/' if part else ''}{part} in {namespace}"
    assert allowed == expected, f"{name} is {'allowed' if allowed else 'denied'} to the aggregator, and must not be"


def check_job(namespace: str, client: str, template: dict[str, Any]) -> None:
    """A dry run makes nothing, but passes through defaulting, validation, quota and every admission webhook."""
    pod = template["spec"]["template"]
    pod["spec"]["restartPolicy"] = "Never"
    metadata = {**template.get("metadata", {}), "generateName": f"pilot-test-{client[:20]}-"}
    spec = {**template["spec"], "backoffLimit": 0, "completionMode": "Indexed", "completions": 1, "parallelism": 1}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
    try:
        answer = post(f"/apis/batch/v1/namespaces/{namespace}/jobs?dryRun=All", job)
    except AssertionError as error:
        raise AssertionError(f"a Job of {client} is refused: {error}") from error
    assert answer["kind"] == "Job", answer


def post(path: str, document: dict[str, Any]) -> dict[str, Any]:
    """The API server's answer.

    Raises:
        AssertionError: it refused, with its words.
        OSError: it cannot be reached.
    """
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    request = urllib.request.Request(
        f"https://{f'[{host}]' if ':' in host else host}:{port}{path}",
        data=json.dumps(document).encode(),
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": "application/json"},
    )
    trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    try:
        with urllib.request.urlopen(request, context=trusted, timeout=30) as answer:
            # Pod Security that only warns is answered so: the Job would be taken, and its pod refused.
            for warning in answer.headers.get_all("Warning") or []:
                print(f"warning of the API server: {warning}")
                assert "PodSecurity" not in warning, f"Pod Security would refuse the pod: {warning}"
            content: dict[str, Any] = json.load(answer)
            return content
    except urllib.error.HTTPError as error:
        status = json.load(error)
        raise AssertionError(f"{error.code} {status.get('message')}") from error


if __name__ == "__main__":
    sys.exit(main())
