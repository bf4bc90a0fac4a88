"""What a deployment knows, and what describes a client's data: the two files that an operator and a client write."""

from typing import Literal

from pydantic import Field, model_validator

from pilot_proto.base import Request, Seq
from pilot_proto.names import Name, check_name
from pilot_proto.run import Metadata


class BaseModelOffer(Request):
    """A base model in the Hugging Face LLaVA layout."""

    name: str
    path: str
    """A folder; relative to the federation file in the local mode, a mount in a cluster."""


class Task(Request):
    """A kind of instruction data."""

    name: Name
    title: str = ""


class Client(Request):
    """A data owner with exactly one task."""

    name: Name
    task: str
    data: str
    """The folder of its `dataset.yaml`; read-only to the trainer."""


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
        for model in self.models:
            check_name(model.name.replace(".", "-"))
        return self


class Federation(Request):
    """`federation.yaml`."""

    apiVersion: Literal["pilot/v1alpha1"]
    kind: Literal["Federation"]
    metadata: Metadata
    spec: FederationSpec


class Split(Request):
    file: str
    """A LLaVA JSON file, relative to `dataset.yaml`."""
    images: str = "."
    """The folder that the records' image paths are relative to."""


class Splits(Request):
    train: Split
    val: Split | None = None
    test: Split | None = None


class DatasetSpec(Request):
    task: str
    metric: Literal["exact-match", "cider", "iou"]
    box_frame: Literal["original", "padded"] | None = None
    """Which frame box coordinates refer to; required for `iou`, because the two differ silently."""
    max_new_tokens: int = Field(default=64, ge=1)
    splits: Splits

    @model_validator(mode="after")
    def _boxes_have_a_frame(self) -> "DatasetSpec":
        if self.metric == "iou" and self.box_frame is None:
            raise ValueError("metric 'iou' needs box_frame: 'original' or 'padded'")
        return self


class Dataset(Request):
    """`dataset.yaml`: what a client's folder holds."""

    apiVersion: Literal["pilot/v1alpha1"]
    kind: Literal["Dataset"]
    metadata: Metadata
    spec: DatasetSpec
