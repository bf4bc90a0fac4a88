"""System: what this deployment is, what is under way, and what its routes are."""

from collections.abc import Mapping, Sequence
from typing import Any

from pilot_proto.base import Stored
from pilot_reports.numbers import size

from pilot_registry.admission.sessions import UploadRecord
from pilot_registry.settings import Settings
from pilot_registry.ui.words import span

SPANS = ("gc_every_s", "gc_grace_s", "session_s", "upload_idle_s", "s3_idle_s")
SIZES = ("max_output_bytes", "s3_part_bytes")
PLAIN = ("allowed_hosts", "aggregator_url", "s3_parallel_parts")
METHODS = ("get", "head", "put", "post", "patch", "delete")


class Setting(Stored):
    """One that a person may look for; none that is a secret or leads to one."""

    name: str
    """Of the environment variable."""
    value: str
    meaning: str = ""


class UnderWay(Stored):
    """An upload that has not ended."""

    sender: str
    run: str
    """Its uid, where no run of that uid is known."""
    round: int
    kind: str
    received: int
    size: int


class Route(Stored):
    """One operation of a service's API."""

    method: str
    path: str
    summary: str
    roles: tuple[str, ...]


class OpenApi(Stored):
    """As much of an OpenAPI document as is shown."""

    paths: dict[str, dict[str, Any]]


def settings_of(settings: Settings) -> tuple[Setting, ...]:
    """Those of a bucket only where there is one."""
    values = {name: span(getattr(settings, name)) for name in SPANS}
    values |= {name: size(getattr(settings, name)) for name in SIZES}
    values |= {name: str(getattr(settings, name) or "") for name in PLAIN}
    shown = {name: value for name, value in values.items() if settings.store == "s3" or not name.startswith("s3_")}
    return tuple(_setting(name, shown[name]) for name in sorted(shown))


def under_way(found: Sequence[tuple[UploadRecord, int]], runs: Mapping[str, str]) -> tuple[UnderWay, ...]:
    """`runs`: uid to name."""
    return tuple(
        UnderWay(
            sender=record.principal,
            run=runs.get(record.uid, record.uid),
            round=record.round,
            kind=record.kind,
            received=received,
            size=record.size,
        )
        for record, received in found
    )


def routes_of(document: OpenApi) -> tuple[Route, ...]:
    """By path, as the document has them."""
    return tuple(
        _route(method, path, item[method])
        for path, item in sorted(document.paths.items())
        for method in METHODS
        if method in item
    )


def _route(method: str, path: str, operation: Mapping[str, Any]) -> Route:
    said = str(operation.get("description") or operation.get("summary") or "")
    roles = tuple(operation.get("x-roles", ()))
    return Route(method=method.upper(), path=path, summary=said.partition("\n\n")[0].replace("`", ""), roles=roles)


def _setting(name: str, value: str) -> Setting:
    meaning = Settings.model_fields[name].description or ""
    return Setting(name=f"PILOT_REGISTRY_{name.upper()}", value=value, meaning=meaning)
