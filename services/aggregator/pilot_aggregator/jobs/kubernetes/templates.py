"""The Job that the chart rendered for each client; what a run adds is in `render`."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pilot_proto.base import Request
from pilot_proto.problem import FieldError, InvalidDocument, validated
from pydantic import BaseModel, ConfigDict, Field

from pilot_aggregator.jobs.kubernetes.labels import CONTAINER

Object = dict[str, Any]
"""A Kubernetes object as plain JSON values."""


class _OfKubernetes(BaseModel):
    """Fields that we read; the cluster knows what the others may be."""

    model_config = ConfigDict(extra="allow", frozen=True)


class ObjectMeta(_OfKubernetes):
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Container(_OfKubernetes):
    name: str
    image: str = Field(min_length=1)


class PodSpec(_OfKubernetes):
    containers: list[Container] = Field(min_length=1)


class PodTemplate(_OfKubernetes):
    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec


class JobSpec(_OfKubernetes):
    template: PodTemplate


class JobTemplate(_OfKubernetes):
    """The skeleton of one client's Jobs. Its container `trainer` is the attempt."""

    metadata: ObjectMeta = ObjectMeta()
    spec: JobSpec


class JobTemplatesSpec(Request):
    namespace: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """Where Jobs are made."""
    templates: dict[str, JobTemplate] = Field(min_length=1)
    """One for each client, and one for `base`, which prepares round 0."""


class Metadata(Request):
    name: str


class JobTemplates(Request):
    """The document that the chart mounts."""

    apiVersion: Literal["pilot/v1alpha1"]
    kind: Literal["JobTemplates"]
    metadata: Metadata
    spec: JobTemplatesSpec

    def of(self, client: str) -> Object | None:
        """A client's skeleton as plain values, if there is one."""
        found = self.spec.templates.get(client)
        return found.model_dump(exclude_unset=True) if found else None


def read_templates(folder: Path) -> JobTemplates:
    """The templates of a deployment: a ConfigMap holds only so many, so they stand in several documents.

    Raises:
        InvalidDocument: with every fault.
        OSError: a file cannot be read, or there is none.
    """
    first, *others = [_read(file) for file in sorted(folder.glob("*.yaml"))] or [_read(folder / "jobs.yaml")]
    templates = dict(first.spec.templates)
    for other in others:
        templates |= other.spec.templates
    return first.model_copy(update={"spec": first.spec.model_copy(update={"templates": templates})})


def _read(path: Path) -> JobTemplates:
    what = f"job templates {path.name}"
    try:
        document = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise InvalidDocument(what, [FieldError(pointer="", message=f"this is not YAML: {error}")]) from error
    templates = validated(JobTemplates, document, what)
    if faults := [fault for name in templates.spec.templates if (fault := _fault(name, templates))]:
        raise InvalidDocument(what, faults)
    return templates


def _fault(name: str, templates: JobTemplates) -> FieldError | None:
    names = [container.name for container in templates.spec.templates[name].spec.template.spec.containers]
    if CONTAINER in names:
        return None
    pointer = f"/spec/templates/{name}/spec/template/spec/containers"
    hint = f"call the container that runs the trainer {CONTAINER!r}"
    return FieldError(pointer=pointer, message=f"no container {CONTAINER!r} among {', '.join(names)}", hint=hint)
