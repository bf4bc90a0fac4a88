"""What a deployment knows: `federation.yaml`, the file that an operator writes."""

import posixpath
from collections.abc import Iterable
from itertools import combinations
from typing import Literal

from pydantic import Field, model_validator

from pilot_proto.base import Request, Seq, Stored
from pilot_proto.names import Name, check_name
from pilot_proto.run import Metadata


class BaseModelOffer(Request):
    """A base model in the Hugging Face LLaVA layout."""

    name: str
    path: str
    """A folder; relative to the federation file in the local mode, a mount in a cluster."""
    license: str | None = None
    """Its licence, best as the Hugging Face Hub writes it (`apache-2.0`, `llama2`); the cards of adapters repeat it."""


class Task(Request):
    """A kind of instruction data."""

    name: Name
    title: str = ""


class Client(Request):
    """A data owner with exactly one task."""

    name: Name
    task: str
    data: str
    """The folder of its `dataset.yaml`; read-only to the trainer. No two clients share one."""
    disabled: bool = False
    """Takes part in no new run. Runs that are going on keep it."""


def shared_data(clients: Iterable[Client]) -> list[str]:
    """Pairs of clients whose data are the same, or partly: a sentence for each. Folders are compared as written.

    A disabled client counts nothing, so another may stand in its place.
    """
    enabled = [(client.name, posixpath.normpath(client.data)) for client in clients if not client.disabled]
    found = []
    for (first, here), (second, there) in combinations(enabled, 2):
        if here == there:
            found.append(
                f"clients {first!r} and {second!r} have one data folder, {here}: its samples would count twice"
            )
        elif _below(here, there) or _below(there, here):
            found.append(
                f"the data folders of clients {first!r} ({here}) and {second!r} ({there}) are one inside the other: "
                "samples would count twice"
            )
    return found


def _below(folder: str, other: str) -> bool:
    if other == ".":
        return not folder.startswith(("/", ".."))
    return folder.startswith(other.rstrip("/") + "/")


class FederationSpec(Request):
    models: Seq[BaseModelOffer] = Field(min_length=1)
    tasks: Seq[Task] = Field(min_length=1)
    clients: Seq[Client] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_known_and_unique(self) -> "FederationSpec":
        tasks = {task.name for task in self.tasks}
        for client in self.clients:
            if client.task not in tasks:
                known = ", ".join(sorted(tasks))
                raise ValueError(f"client {client.name!r} has the unknown task {client.task!r}; tasks: {known}")
        names = [task.name for task in self.tasks] + [client.name for client in self.clients]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"clients and tasks share one name space; used twice: {', '.join(twice)}")
        if shared := shared_data(self.clients):
            raise ValueError("; ".join(shared) + ". Give each client a folder of its own, or disable one of them")
        for model in self.models:
            check_name(model.name.replace(".", "-"))
        return self


class Federation(Request):
    """`federation.yaml`."""

    apiVersion: Literal["pilot/v1alpha1"]
    kind: Literal["Federation"]
    metadata: Metadata
    spec: FederationSpec


class FederationStatus(Stored):
    """What the service makes of the file."""

    digest: str
    """Of the bytes of `federation.yaml` that are in force."""
    error: str = ""
    """Why the file as it is now is not in force: the one before it still is. Empty when all is well."""


class FederationView(Stored):
    """A federation as the API shows it: what is in force, its paths absolute."""

    apiVersion: str = "pilot/v1alpha1"
    kind: str = "Federation"
    metadata: Metadata
    spec: FederationSpec
    status: FederationStatus
