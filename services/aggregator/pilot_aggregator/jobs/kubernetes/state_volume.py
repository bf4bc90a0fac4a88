"""Where a rendered Job keeps its client's private state, and a pod by which a person gets at it. Pure."""

from collections.abc import Mapping
from typing import Any

from pilot_aggregator.jobs.backend import StatePlace
from pilot_aggregator.jobs.kubernetes.labels import CONTAINER
from pilot_aggregator.jobs.kubernetes.templates import Object

STATE_DIR = "PILOT_STATE_DIR"
WAITING_S = 3600
"""A pod that somebody forgets ends by itself."""

LIKE_THE_TRAINERS = ("securityContext", "imagePullSecrets", "nodeSelector", "affinity", "tolerations", "schedulerName")
"""What lets a pod be, and come to where the volume is."""


def state_place(job: Object) -> StatePlace:
    """What is known of the volume that is mounted where the trainer's state is."""
    spec, namespace = job["spec"]["template"]["spec"], job["metadata"]["namespace"]
    trainer = next(container for container in spec["containers"] if container["name"] == CONTAINER)
    mount = _mount(trainer)
    volume = next((v for v in spec.get("volumes") or [] if mount and v["name"] == mount["name"]), None)
    if mount is None or volume is None or "emptyDir" in volume:
        return StatePlace(namespace)
    claim = volume.get("persistentVolumeClaim", {}).get("claimName", "")
    return StatePlace(namespace, claim, mount["mountPath"], _reader(job, trainer, mount, volume))


def _mount(trainer: Object) -> Object | None:
    folder = next((entry.get("value") for entry in trainer["env"] if entry["name"] == STATE_DIR), None)
    return next((mount for mount in trainer.get("volumeMounts") or [] if mount["mountPath"] == folder), None)


def _reader(job: Object, trainer: Object, mount: Object, volume: Object) -> Object:
    metadata = job["metadata"]
    container = {
        "name": "reader",
        "image": trainer["image"],
        "command": ["sleep", str(WAITING_S)],
        **_taken(trainer, ("imagePullPolicy", "securityContext")),
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "volumeMounts": [{**mount, "readOnly": True}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-read",
            "namespace": metadata["namespace"],
            "labels": {"app.kubernetes.io/part-of": "pilot"},
        },
        "spec": {
            **_taken(job["spec"]["template"]["spec"], LIKE_THE_TRAINERS),
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": [volume],
        },
    }


def _taken(thing: Mapping[str, Any], names: tuple[str, ...]) -> Object:
    return {name: thing[name] for name in names if name in thing}
