"""Where the Service of several aggregators leads: to the pod that carries a label, which is the leader's.

Readiness cannot say it. A replica that stands by would never be ready, and whatever waits for pods to be ready would
wait for ever: an install, the next pod of an upgrade, a node that is drained.
"""

import uuid

from pilot_aggregator.jobs.kubernetes.api import PODS, Cluster, Refused
from pilot_aggregator.jobs.kubernetes.labels import LEADS


def identity(pod: str) -> str:
    """A name for a process of a pod: the next one in the same pod is somebody else."""
    return f"{pod}_{uuid.uuid4().hex[:8]}"


def pod_of(identity: str) -> str:
    """The pod of a process."""
    return identity.partition("_")[0]


async def point(cluster: Cluster, pod: str, *, here: bool) -> None:
    """Let the Service lead to a pod, or no longer. One that is gone needs nothing."""
    if not pod:
        return
    try:
        await cluster.patch(PODS, pod, {"metadata": {"labels": {LEADS: "true" if here else None}}})
    except Refused as error:
        if error.status != 404:
            raise
