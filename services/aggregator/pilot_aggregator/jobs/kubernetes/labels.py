"""What the objects that we make are called and marked with."""

DOMAIN = "pilot.federated"

RUN = f"{DOMAIN}/run"
RUN_UID = f"{DOMAIN}/run-uid"
ENDED = f"{DOMAIN}/ended"
"""On the anchor of a run that has ended: it goes when the last of its Jobs has."""

EXPORT = f"{DOMAIN}/export"
"""On a Job that makes a personal model: at which point."""

SPEC_HASH = f"{DOMAIN}/spec-hash"
"""Annotation: the digest of the Job as it was rendered. Who finds a Job of this name and digest has found its own."""
FENCE = f"{DOMAIN}/fence"
"""Annotation: the term of leadership that created the Job."""
LEADS = f"{DOMAIN}/leads"
"""On the pod of the aggregator that leads: the Service selects it."""

OURS = "pilot-"
"""How the names of our Jobs begin, and so those of their pods."""

SELECTOR = RUN_UID
"""Our objects are those that have this label."""

JOB_OF_POD = "batch.kubernetes.io/job-name"
CONTAINER = "trainer"
"""The container of a job's pod that is the attempt; others serve it."""


def label(name: str) -> str:
    """A name of ours as a label's key."""
    return f"{DOMAIN}/{name}"


def anchor_name(run_uid: str) -> str:
    """The ConfigMap that owns a run's Jobs: whoever deletes it deletes them."""
    return f"pilot-run-{run_uid}"
