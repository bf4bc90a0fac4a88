"""Where two documents differ, field by field. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pilot_proto.base import Stored
from pilot_proto.manifest import Manifest

LONGEST = 400
FIELDS = (
    "kind",
    "run",
    "round",
    "program",
    "client",
    "task",
    "model",
    "model_digest",
    "num_examples",
    "contributors",
    "plan",
)
"""Of a manifest; its parents are told as lineage, its files by their tensors."""


class Difference(Stored):
    field: str
    a: str
    """As text, or as JSON; empty where the field is not there."""
    b: str


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Nested fields have dotted names; what is alike is left out."""
    left, right = dict(_flat(a)), dict(_flat(b))
    fields = [*left, *(name for name in right if name not in left)]
    return tuple(
        Difference(field=name, a=left.get(name, ""), b=right.get(name, ""))
        for name in fields
        if left.get(name) != right.get(name)
    )


def manifest_fields(m: Manifest) -> dict[str, Any]:
    """What two versions are compared by; absent fields are left out."""
    known = {name: getattr(m, name) for name in FIELDS}
    return {name: value for name, value in known.items() if value not in (None, ())}


def _flat(document: Mapping[str, Any], below: str = "") -> Iterator[tuple[str, str]]:
    for name, value in document.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{below}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"{below}{name}", text[:LONGEST]
