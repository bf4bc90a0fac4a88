"""What a run, client or task may be called, and the names of repositories that follow from it.

The rule is the meeting point of three: a Kubernetes label, a Hugging Face repository name (which refuses `--` and
`..`), and a path on disk.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, WithJsonSchema

NAME_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$"
RESERVED = frozenset({"api", "ui", "static", "metrics", "livez", "readyz", "global", "base"})

PREPARER = "base"
"""The name under which round 0 is run: reserved, so no client can have it."""

Kind = Literal["text", "connector", "vision"]
"""What an adapter adapts: LoRA in the LLM, the task-specific visual adapter, the CLIP tower (CT-CLIP)."""


def check_name(name: str) -> str:
    """Return the name, or raise ValueError saying which rule it breaks."""
    if not re.fullmatch(NAME_PATTERN, name):  # not match: its $ lets a final newline pass
        raise ValueError(
            f"{name!r} is not a name: use 1 to 40 lowercase letters, digits and single '-', "
            "starting and ending with a letter or digit"
        )
    if "--" in name:
        raise ValueError(f"{name!r} contains '--', which the Hugging Face client refuses: use a single '-'")
    if name in RESERVED:
        raise ValueError(f"{name!r} is reserved; choose another name")
    return name


Name = Annotated[
    str,
    AfterValidator(check_name),
    WithJsonSchema({"type": "string", "pattern": f"^(?!.*--){NAME_PATTERN[1:]}", "not": {"enum": sorted(RESERVED)}}),
]
"""The name of a run, client or task."""


def update_repo(run: str, client: str) -> str:
    """Where a client's raw updates live; private to it and the aggregator."""
    return f"{run}/client-{client}-update"


def base_repo(run: str, kind: str) -> str:
    """What every client starts from: the shared LoRA initialisation, psi_0."""
    return f"{run}/base-{kind}"


def task_repo(run: str, task: str, kind: str) -> str:
    """The merged adapter of a task."""
    return f"{run}/task-{task}-{kind}"


def client_repo(run: str, client: str, kind: str) -> str:
    """The adapter merged for one client."""
    return f"{run}/client-{client}-{kind}"


def global_repo(run: str, kind: str) -> str:
    """One adapter for everybody."""
    return f"{run}/global-{kind}"


ADAPTER_FILE = {
    "text": "adapter_model.safetensors",
    "connector": "model.safetensors",
    "vision": "model.safetensors",
}
"""The file that holds an adapter's tensors in its repository, by kind; the name that peft and others look for."""

CONFIG_FILE = {"text": "adapter_config.json", "connector": "config.json", "vision": "config.json"}
"""The file beside it that says how to use the tensors."""


def update_path(kind: str, file: str) -> str:
    """Where an adapter's file stands inside an update."""
    return f"{kind}/{file}"
