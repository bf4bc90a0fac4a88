"""Listings are answered by an index alone, whatever they filter by: no row with its manifest is read in vain."""

import itertools

import pytest
from pilot_http.auth import parse_principal
from pilot_registry import catalog
from pilot_registry.catalog import Search, listed
from pilot_registry.tables import Version
from sqlalchemy import select, text
from sqlalchemy.dialects import sqlite
from unit.registry.world import World, app_in

FILTERS = [
    {},
    {"run": "digits"},
    {"kind": "text"},
    {"client": "vqa-1"},
    {"task": "vqa"},
    {"round": 3},
    {"state": "live"},
    {"state": "deleted"},
    {"words": ("nothing",)},
    {"repo": "digits/base-connector"},
    {"kind": "update", "round": 9},
    {"task": "vqa", "client": "vqa-2", "words": ("abc",)},
]
WHO = ("viewer", "admin", "client:vqa-1")


def plan(world: World, query) -> list[str]:
    """How SQLite would go about it: the steps that touch versions."""
    sql = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with world.app.state.registry.database.reading() as session:
        steps = [row[3] for row in session.execute(text(f"EXPLAIN QUERY PLAN {sql}".replace(":", r"\:")))]
    return [step for step in steps if Version.__tablename__ in step]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """One registry for all questions."""
    world = World(app_in(tmp_path_factory.mktemp("asked")))
    yield world
    world.app.state.registry.database.close()


@pytest.mark.parametrize("below", [None, 50_000], ids=["first", "later"])
@pytest.mark.parametrize("who", WHO)
def test_a_listing_reads_no_manifest_of_what_it_does_not_show(prepared: World, who: str, below: int | None):
    for wanted in FILTERS:
        steps = plan(prepared, listed(parse_principal(who), Search(**wanted), below))
        for step in steps:
            # A run or a repository is found through its own index: those rows are few.
            narrow = "run" in wanted or "repo" in wanted
            assert "COVERING INDEX ix_versions_listing" in step or (narrow and step.startswith("SEARCH")), wanted


def test_the_question_would_notice_a_scan_of_the_rows(prepared: World):
    (step,) = plan(prepared, select(Version.manifest).where(Version.task == "vqa"))
    assert "COVERING" not in step


def test_pages_in_two_steps_are_the_same_as_in_one(world: World):
    world.answer("vqa-1")
    world.answer("vqa-2")
    registry, admin = world.app.state.registry, parse_principal("admin")
    whole = catalog.search(registry, admin, Search(), 50, None).items
    one_by_one, cursor = [], None
    for _ in itertools.count():
        page = catalog.search(registry, admin, Search(), 1, cursor)
        one_by_one += page.items
        cursor = page.next
        if cursor is None:
            break
    assert tuple(one_by_one) == whole
    assert len(whole) == 4
