"""From what the orchestrator wants to run to a complete Job. Pure: the result is stored, and never rendered again."""

import copy
from collections.abc import Mapping
from typing import Any

from pilot_proto.canonical import document_digest

from pilot_aggregator.jobs.backend import JobRequest, Rendered
from pilot_aggregator.jobs.kubernetes.labels import CONTAINER, SPEC_HASH, label
from pilot_aggregator.jobs.kubernetes.templates import Object

FATAL_EXITS = (64, 65, 78)
"""Bad assignment, bad data, bad configuration."""

# With no retries of its own a Job fails in any of these cases; the rules make it say which, in its own condition, for
# an aggregator that comes back when the pod is gone.
POD_FAILURE_RULES = (
    {"action": "FailJob", "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [*FATAL_EXITS]}},
    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    {"action": "FailJob", "onExitCodes": {"containerName": CONTAINER, "operator": "NotIn", "values": [0]}},
)

GRACE_S = 120
"""From SIGTERM to SIGKILL: the trainer writes a checkpoint meanwhile."""

DEFAULTS = {"PILOT_TOKEN_FILE": "/var/run/secrets/pilot/token", "PILOT_STATE_DIR": "/state"}
INCARNATION = {"name": "PILOT_INCARNATION", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}


def render(request: JobRequest, template: Object, namespace: str) -> Rendered:
    """The Job of an attempt. What the template says of retries, deadlines and time to live gives way to ours."""
    job = copy.deepcopy(template)
    labels = {label(name): value for name, value in request.labels.items()}
    metadata = job.setdefault("metadata", {})
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            **metadata,
            "name": request.name,
            "namespace": namespace,
            "labels": {**metadata.get("labels", {}), **labels},
        },
        "spec": {**job["spec"], **_life(request)},
    }
    # A time to live from the start would race an aggregator that is away when the Job ends: it is patched in later.
    job["spec"].pop("ttlSecondsAfterFinished", None)
    job["spec"]["template"] = _pod(job["spec"]["template"], request, labels)
    annotations = {**metadata.get("annotations", {}), SPEC_HASH: document_digest(job)}
    job["metadata"]["annotations"] = annotations
    return job


def _life(request: JobRequest) -> Object:
    return {
        "completionMode": "Indexed",
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": copy.deepcopy([*POD_FAILURE_RULES])},
        "activeDeadlineSeconds": request.deadline_s,
    }


def _pod(template: Object, request: JobRequest, labels: Mapping[str, str]) -> Object:
    metadata, spec = template.get("metadata", {}), template["spec"]
    containers = [
        {**container, "env": _environment(container, request)} if container["name"] == CONTAINER else container
        for container in spec["containers"]
    ]
    if request.command:
        spec = {name: value for name, value in spec.items() if name != "resourceClaims"}
        containers = [_without_accelerator(_running(container, request.command)) for container in containers]
    return {
        "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **labels}},
        "spec": {
            "terminationGracePeriodSeconds": GRACE_S,
            **spec,
            "restartPolicy": "Never",
            "containers": containers,
        },
    }


def _running(container: Object, command: tuple[str, ...]) -> Object:
    if container["name"] != CONTAINER:
        return container
    return {**{name: value for name, value in container.items() if name != "args"}, "command": [*command]}


def _without_accelerator(container: Object) -> Object:
    """Whoever computes nothing waits for no device: neither an extended resource, which has a domain, nor a claim."""
    asked = {name: value for name, value in container.get("resources", {}).items() if name != "claims"}
    kept = {
        name: {resource: quantity for resource, quantity in (quantities or {}).items() if "/" not in resource}
        for name, quantities in asked.items()
    }
    return {**container, "resources": kept}


def _environment(container: Object, request: JobRequest) -> list[Any]:
    """One entry per name: the attempt's own, then the template's, then what is usual."""
    told: list[Object] = [{"name": name, "value": value} for name, value in sorted(request.environment.items())]
    usual: list[Object] = [{"name": name, "value": value} for name, value in DEFAULTS.items()]
    entries: dict[str, Object] = {}
    for entry in [INCARNATION, *told, *container.get("env", []), *usual]:
        entries.setdefault(entry["name"], entry)
    return list(entries.values())
