"""Real trainers on a node that has torch: they take it from a volume, since an image with it weighs 6 GB."""

import os

from cluster.release import Release


def install(release: Release) -> None:
    """The chart's default values, with the node's torch where PILOT_TEST_TORCH names its folder."""
    folder = os.environ.get("PILOT_TEST_TORCH")
    if folder:
        offer_torch(release, folder)
    release.install(*(["bare-trainer"] if folder else []))


def offer_torch(deployed: Release, folder: str) -> None:
    """A folder of the node as a volume. The trainers' pods may not mount such a folder by themselves."""
    spec = {"accessModes": ["ReadOnlyMany"], "storageClassName": "", "resources": {"requests": {"storage": "1Mi"}}}
    volume = {
        "capacity": {"storage": "1Mi"},
        "accessModes": ["ReadOnlyMany"],
        "hostPath": {"path": folder, "type": "Directory"},
        "claimRef": {"namespace": deployed.namespace, "name": "torch"},
    }
    name = f"{deployed.namespace}-torch"
    deployed.kubectl("delete", "persistentvolume", name, "--ignore-not-found")
    kinds = {"PersistentVolume": (name, volume), "PersistentVolumeClaim": ("torch", {**spec, "volumeName": name})}
    for kind, (called, wanted) in kinds.items():
        document = {"apiVersion": "v1", "kind": kind, "metadata": {"name": called}, "spec": wanted}
        deployed.cluster.apply(document, namespace=deployed.namespace)
