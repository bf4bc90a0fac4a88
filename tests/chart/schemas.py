"""The schemas of Kubernetes' releases, as the package kubernetes-validate carries them; each is read once."""

import functools
import json
import os
from importlib.resources import files
from typing import Any

import pytest
from chart.rendering import Object

OLDEST = (1, 31)
FOREIGN = {"HTTPRoute", "ServiceMonitor"}
"""Kinds that are not Kubernetes' own."""


def folder() -> Any:
    """Where the schemas are; skips the test where there are none, fails it where nothing may be skipped."""
    try:
        import kubernetes_validate  # noqa: F401
    except ImportError:
        reason = "no kubernetes-validate: it is of the group dev"
        if "helm" in os.environ.get("PILOT_REQUIRE", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)
    return files("kubernetes_validate") / "kubernetes-json-schema"


def releases() -> dict[str, str]:
    """The folder of each minor release from the oldest that we support to the newest."""
    found = {}
    for entry in folder().iterdir():
        minor = entry.name.removeprefix("v").split("-")[0].split(".")[:2]
        if entry.name.endswith("-local-strict") and tuple(map(int, minor)) >= OLDEST:
            found[".".join(minor)] = entry.name
    return found


class Schemas:
    """Those of one release."""

    def __init__(self, name: str) -> None:
        import referencing

        self._folder = folder() / name
        definitions = referencing.Resource.from_contents(json.loads((self._folder / "_definitions.json").read_text()))
        self._registry = definitions @ referencing.Registry()

    def faults(self, thing: Object) -> list[str]:
        """What this release would refuse; fields that it does not know are among it."""
        errors = self._validator(thing["apiVersion"], thing["kind"]).iter_errors(thing)
        name = f"{thing['kind']} {thing['metadata']['name']}"
        return [f"{name}: {'.'.join(map(str, error.path))}: {error.message[:300]}" for error in errors]

    @functools.cache  # noqa: B019 - one instance lives as long as the test
    def _validator(self, version: str, kind: str) -> Any:
        import jsonschema
        import referencing

        group, _, plain = version.rpartition("/")
        prefix = f"{group.split('.')[0]}-" if group else ""
        schema = json.loads((self._folder / f"{kind.lower()}-{prefix}{plain}.json").read_text())
        registry = referencing.Resource.from_contents(schema) @ self._registry
        return jsonschema.Draft202012Validator(schema, registry=registry)
