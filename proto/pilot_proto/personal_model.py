"""A client's personal model, made by a Job of that client: what to make, and how far it is."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from pilot_proto.base import Request, Stored

Point = Literal["merged", "local"]
"""`merged`: as the round published it, with the client's private parts; `local`: as the client's own update left it."""


class ExportOrder(Request):
    """Which of a client's models in a round."""

    point: Point = "merged"
    merge_lora: bool = False
    """Fold the LoRA into the base's weights: a whole model, which needs neither the base nor peft."""


class ExportView(Stored):
    """A Job that makes a folder on the client's own volume, or has made it."""

    run: str
    round: int
    client: str
    point: Point
    merge_lora: bool
    job: str
    state: str
    """`Intended`, `Queued`, `Pending`, `Running`, `Unknown`; then `Succeeded`, `Failed`, `Disrupted`, `Lost` or
    `Stopped`."""
    reason: str = ""
    message: str = ""
    """What it waits for, or how it ended."""
    folder: str
    """Where the model stands when the Job has succeeded, below the client's private state."""
    namespace: str = ""
    """Where the Job and the claim are."""
    claim: str = ""
    """The claim of the volume with the client's private state; empty where the volume has none."""
    pod: dict[str, Any] = Field(default_factory=dict)
    """A pod that mounts the volume for reading and does nothing for an hour, for `kubectl create`: the folder is copied
    out of it. Empty where the trainer's state is on no volume of its own."""
    path: str = ""
    """The folder in that pod."""
    requested_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
