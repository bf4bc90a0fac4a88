"""Specs of runs as dotted paths: what differs between two, and what differs from the preset. Pure."""

import json
from dataclasses import dataclass
from typing import Any

from pilot_proto.base import API_VERSION, as_json
from pilot_proto.presets import expand
from pilot_proto.run import RunSpec


@dataclass(frozen=True)
class Difference:
    """A field with two values; None where one side does not have it."""

    path: str
    first: Any
    second: Any


def flat(spec: RunSpec) -> dict[str, Any]:
    """Dotted path to value, for every leaf. Lists are leaves: their order means something."""
    found: dict[str, Any] = {}
    _collect(as_json(spec), "", found)
    return found


def differences(first: RunSpec, second: RunSpec) -> tuple[Difference, ...]:
    """The fields that differ, by path."""
    one, other = flat(first), flat(second)
    paths = sorted(one.keys() | other.keys())
    return tuple(Difference(p, one.get(p), other.get(p)) for p in paths if one.get(p) != other.get(p))


def beyond_preset(spec: RunSpec) -> tuple[Difference, ...]:
    """What a run has otherwise than its method's preset: `first` is the preset's value."""
    document = {
        "apiVersion": API_VERSION,
        "kind": "Run",
        "metadata": {"name": "preset"},
        "spec": {"model": spec.model, "method": spec.method},
    }
    return differences(expand(document).spec, spec)


def written(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


def _collect(value: Any, path: str, found: dict[str, Any]) -> None:
    if not isinstance(value, dict) or not value:
        found[path] = value
        return
    for key, inner in value.items():
        _collect(inner, f"{path}.{key}" if path else key, found)
