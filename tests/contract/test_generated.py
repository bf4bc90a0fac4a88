"""The committed schemas and OpenAPI documents: fresh, whole, and free of what does not belong in them."""

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pilot_proto
import pytest
from contract.conftest import ROOT
from pilot_proto import export
from pilot_proto.assignment import Assignment
from pilot_proto.grant import Publication, SealedRound
from pilot_proto.manifest import Manifest
from pilot_proto.plan import Ledger, MergePlan
from pilot_proto.run import RunStatus
from pilot_proto.update import Update
from pydantic import BaseModel

COMMITTED = (Assignment, Update, Manifest, MergePlan, Ledger, SealedRound, Publication)
VOLATILE = {"uid", "uuid", "time", "date", "at", "host", "pid", "pod", "attempt", "incarnation", "eta", "url", "uri"}
VOLATILE |= {"path", "version"}
METHODS = ("get", "head", "put", "post", "patch", "delete")
SERVICES = ("aggregator", "registry")


def walk(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON document."""
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from walk(inner)


def volatile(document: type[BaseModel]) -> set[str]:
    """Fields that hold a moment, or are named after something that differs from one occasion to the next."""
    found = set()
    for part in walk(document.model_json_schema()):
        for name, field in part.get("properties", {}).items():
            moment = any(str(inner.get("format", "")).startswith(("date", "time", "duration")) for inner in walk(field))
            if name != "schema_version" and (moment or VOLATILE & set(name.split("_"))):
                found.add(name)
    return found


def openapi(service: str) -> dict[str, Any]:
    return json.loads((ROOT / f"proto/openapi/{service}.json").read_text())


def operations(service: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in openapi(service)["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def test_the_committed_contract_is_what_the_code_says(schema_tool, contract: dict[Path, str]):
    assert schema_tool.stale(ROOT / "proto", contract) == [], "run `make schema` and commit what it writes"


def test_what_is_stale_is_named(schema_tool, tmp_path: Path):
    (tmp_path / "schema").mkdir()
    for name, text in (("same", "1"), ("different", "1"), ("left", "1")):
        (tmp_path / f"schema/{name}.json").write_text(text)
    wanted = {Path("schema/same.json"): "1", Path("schema/different.json"): "2", Path("openapi/missing.json"): "1"}
    assert schema_tool.stale(tmp_path, wanted) == ["openapi/missing.json", "schema/different.json", "schema/left.json"]


def test_writing_the_schemas_removes_those_of_documents_that_are_gone(tmp_path: Path):
    (tmp_path / "Gone.schema.json").write_text("{}")
    export.main([str(tmp_path)])
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == export.schemas()


def test_every_model_of_the_contract_is_in_a_schema():
    described = set()
    for document in export.DOCUMENTS:
        described |= {document.__name__, *export.schema(document).get("$defs", {})}
    for module in pkgutil.iter_modules(pilot_proto.__path__):
        for name, model in inspect.getmembers(importlib.import_module(f"pilot_proto.{module.name}"), inspect.isclass):
            # config.json, which pilot_proto.llava reads, is a document of transformers, not of ours.
            ours = issubclass(model, BaseModel) and model.__module__ not in ("pilot_proto.base", "pilot_proto.llava")
            if ours and model is not BaseModel and name[0] != "_":
                assert name in described


def test_a_field_is_described_by_the_text_below_it():
    loss = json.loads((ROOT / "proto/schema/Run.schema.json").read_text())["$defs"]["Losses"]["properties"]
    assert "per answer first as eq. 2 reads" in loss["cross_entropy"]["description"]


@pytest.mark.parametrize("document", COMMITTED, ids=lambda document: document.__name__)
def test_a_committed_document_holds_nothing_volatile(document: type[BaseModel]):
    assert volatile(document) == set()


def test_what_is_volatile_would_be_found():
    class Stamped(Manifest):
        made_by_host: str
        status: RunStatus

    assert volatile(Stamped) == {"made_by_host", "uid", "created_at", "ended_at", "attempt", "eta_s"}


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_that_a_client_sends_is_an_address_or_a_place_on_disk(service: str):
    document = openapi(service)
    sent = [operation["requestBody"] for _, _, operation in operations(service) if "requestBody" in operation]
    sent += [p for _, _, o in operations(service) for p in o.get("parameters", []) if p["in"] != "path"]
    seen: set[str] = set()
    while sent:
        for part in walk(sent.pop()):
            assert not re.search("uri|url|path", str(part.get("format", ""))), part
            names = set(part.get("properties", {})) | ({part["name"]} if "in" in part else set())
            assert not {word for name in names for word in re.split("[_-]", name)} & {"url", "uri", "path", "folder"}
            ref = part.get("$ref", "")
            if isinstance(ref, str) and ref.startswith("#/components/schemas/") and ref not in seen:
                seen.add(ref)
                sent.append(document["components"]["schemas"][ref.rsplit("/", 1)[1]])
    assert seen


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_has_a_readable_name_of_its_own_and_says_what_it_does(service: str):
    names = [operation["operationId"] for _, _, operation in operations(service)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", name) for name in names)
    assert all(operation["description"] for _, _, operation in operations(service))


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_answers_a_fault_with_a_problem(service: str):
    for _, path, operation in operations(service):
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}, path
        assert "422" not in operation["responses"]
    content = openapi(service)["components"]["responses"]["Problem"]["content"]
    assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_says_who_may_and_only_the_version_is_public(service: str):
    for _, path, operation in operations(service):
        assert operation["x-roles"], path
        assert (operation["security"] == []) == path.endswith("/version")


@pytest.mark.parametrize("service", SERVICES)
def test_every_json_body_has_a_schema_and_every_reference_leads_somewhere(service: str):
    document = openapi(service)
    for part in walk(document):
        ref = part.get("$ref")
        if isinstance(ref, str):
            place = document
            for step in ref.removeprefix("#/").split("/"):
                place = place[step]
    for _, path, operation in operations(service):
        for sent in operation.get("requestBody", {}).get("content", {}).values():
            assert sent["schema"], path
        for answer in operation["responses"].values():
            assert all(content["schema"] for content in answer.get("content", {}).values()), path
