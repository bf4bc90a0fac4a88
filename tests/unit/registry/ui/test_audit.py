"""The audit's page and its filters, which are the API's."""

import csv
import io

import pytest
from pilot_proto.registry import AuditEntry
from pilot_registry.audit import ACTIONS, Wanted, everything
from pilot_registry.tables import AuditRow
from pilot_registry.ui.views.audit_lines import audit_line, place_of
from unit.registry.ui.html import page
from unit.registry.world import World


@pytest.fixture
def busy(world: World) -> World:
    """Two rounds of two clients in one run, and a run whose name begins like it."""
    world.answer("vqa-1", 1, seed=1)
    world.answer("vqa-2", 1, seed=2)
    world.seal(1)
    assert world.publish(world.publication(world.output("task-vqa-connector"))).status_code == 201
    World(world.app, run="digits-2", uid="another").grant("vqa-1", 1)
    return world


def listed(world: World, query: str) -> list[tuple[str, str, str]]:
    answer = world.call("admin", "GET", f"/audit?limit=200&{query}")
    assert answer.status_code == 200, answer.text
    return [(entry["action"], entry["by"], entry["object"]) for entry in answer.json()["items"]]


def test_entries_are_found_by_action_by_whom_and_by_what_they_touched(busy: World):
    assert {by for _, by, _ in listed(busy, "by=client:vqa-1")} == {"client:vqa-1"}
    assert {action for action, _, _ in listed(busy, "action=granted")} == {"granted"}
    assert len(listed(busy, "action=granted")) == 4
    assert listed(busy, "action=granted&by=client:vqa-1") == []
    assert listed(busy, "object=digits/1&action=sealed") == [("sealed", "aggregator", "digits/1")]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("digits", {"digits/0", "digits/1", "digits/0/base", "digits/1/vqa-1", "digits/1/vqa-2"}),
        ("digits/1", {"digits/1", "digits/1/vqa-1", "digits/1/vqa-2"}),
        ("digits-2", {"digits-2/1/vqa-1"}),
        ("digit", set()),
        ("%", set()),
        ("digits/1/vqa-2", {"digits/1/vqa-2"}),
    ],
)
def test_what_was_touched_is_a_name_with_all_below_it_and_no_pattern(busy: World, wanted: str, found: set[str]):
    touched = {entry[2] for entry in listed(busy, f"object={wanted.replace('%', '%25')}")}
    assert {name for name in touched if "update" not in name} == found


def test_the_page_shows_what_the_api_tells_and_keeps_its_filters_from_page_to_page(busy: World):
    answer = busy.call("admin", "GET", "//ui/audit?format=json&by=aggregator&limit=2").json()
    told = busy.call("admin", "GET", "/audit?by=aggregator&limit=2").json()
    assert [item["entry"] for item in answer["items"]] == told["items"]
    assert answer["next"] == told["next"]
    made = page(busy, "admin", "ui/audit?by=aggregator&limit=2")
    assert f"/ui/audit?by=aggregator&limit=2&cursor={told['next']}" in made.links
    assert "/ui/runs/digits/rounds/1" in page(busy, "admin", "ui/audit?action=published").links
    page(busy, "admin", "ui/audit?action=&by=&object=")


def test_a_filter_that_finds_nothing_says_so(busy: World):
    assert "No entry is like that" in page(busy, "admin", "ui/audit?by=nobody").text


def test_the_csv_has_every_page_of_the_listing(busy: World):
    answer = busy.call("admin", "GET", "//ui/audit.csv?object=digits")
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'filename="audit.csv"' in answer.headers["content-disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(line["action"], line["by"], line["object"]) for line in lines] == listed(busy, "object=digits")


@pytest.mark.parametrize("who", ["viewer", "operator", "client:vqa-1"])
@pytest.mark.parametrize("path", ["ui/audit", "ui/audit.csv"])
def test_the_audit_is_for_admins(busy: World, who: str, path: str):
    assert busy.call(who, "GET", f"//{path}").status_code == 403
    assert "/ui/audit" not in busy.call("viewer", "GET", "//ui").text


def test_hostile_names_stay_names(busy: World):
    evil = "=<script>alert(1)</script>/../\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 3000
    with busy.app.state.registry.database.writing() as session:
        session.add(
            AuditRow(sequence=10**6, at="2026-01-01T00:00:00.000Z", by=evil, action="odd", object=evil, detail=evil)
        )
    answer = busy.call("admin", "GET", "//ui/audit")
    assert "<script>alert" not in answer.text
    page(busy, "admin", "ui/audit")
    lines = list(csv.DictReader(io.StringIO(busy.call("admin", "GET", "//ui/audit.csv").text)))
    assert lines[0]["object"] == f"'{evil}"


@pytest.mark.parametrize(
    ("action", "touched", "url"),
    [
        ("granted", "digits/3/vqa-1", "/ui/runs/digits/rounds/3"),
        ("sealed", "digits/3", "/ui/runs/digits/rounds/3"),
        ("revoked", "digits", "/ui/runs/digits"),
        ("accepted", "digits/client-vqa-1-update", "/ui/adapters/digits/client-vqa-1-update"),
        ("alias-moved", "digits/task-vqa-connector@best", "/ui/adapters/digits/task-vqa-connector?rev=best"),
        ("released", "released/7", "/ui/adapters/released/7"),
        ("odd", "", ""),
    ],
)
def test_what_was_touched_leads_to_its_page(action: str, touched: str, url: str):
    assert place_of(action, touched) == url


def test_a_commit_is_told_from_other_details():
    entry = AuditEntry(sequence=1, at="2026-01-01T00:00:00Z", by="a", action="accepted", object="r/x", detail="a" * 40)
    assert audit_line(entry).commit
    assert not audit_line(entry.model_copy(update={"detail": "2 outputs"})).commit


def test_every_kind_of_entry_can_be_asked_for():
    assert {"granted", "accepted", "sealed", "published", "retired", "alias-moved", "released"} <= set(ACTIONS)


def test_a_long_log_is_read_in_pieces_without_a_gap(busy: World):
    registry = busy.app.state.registry
    in_pieces = [entry.sequence for entry in everything(registry, Wanted(), batch=2)]
    assert in_pieces == list(range(len(in_pieces), 0, -1))
