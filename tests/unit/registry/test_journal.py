"""The store alone rebuilds the index, and a crash between rows and record loses nothing."""

from pathlib import Path

import databases
import pytest
from databases import every_database  # noqa: F401
from pilot_proto.canonical import canonical_bytes
from pilot_proto.grant import Handed, RoundGrants
from pilot_registry import rounds
from pilot_registry.journal import record_key, sequence_of
from pilot_registry.tables import Outbox
from sqlalchemy import select
from unit.registry.ui.fake_aggregator import FakeAggregator
from unit.registry.world import UID, World, app_in, problem, safetensors, tensors


def busy_history(world: World) -> World:
    """Everything that the journal knows: grants, updates, seals, publications, aliases, tombstones, releases,
    deletions."""
    commit = world.answer("vqa-1", 1, seed=1, readable=(world.schema["connector"].commit,))
    world.answer("vqa-2", 1, seed=2)
    world.seal(1)
    merged = world.output("task-vqa-connector", parents=({"repo": "digits/client-vqa-1-update", "commit": commit},))
    single = world.output("client-vqa-1-connector", contributors=("vqa-1",), seed=3)
    assert world.publish(world.publication(merged, single)).status_code == 201
    repo = "digits/task-vqa-connector"
    target = world.call("viewer", "GET", f"/adapters/{repo}/versions/main").json()["commit"]
    handed = canonical_bytes(Handed(commits=(target,)))
    assert world.call("aggregator", "PUT", f"/grants/{UID}/1/vqa-2/handed", content=handed).status_code == 204
    made = world.call(
        "operator", "PUT", f"/adapters/{repo}/aliases/best", json={"commit": target}, headers={"if-none-match": "*"}
    )
    assert made.status_code == 200
    released = world.call("operator", "POST", f"/adapters/{repo}/versions/best/release", json={"name": "kept"})
    assert released.status_code == 201
    world.call("aggregator", "POST", f"/rounds/{UID}/1/retire")
    deleted = released.json()["commit"]
    world.app.state.aggregator = FakeAggregator({"runs": {"items": []}}).connected()
    assert world.call("admin", "DELETE", f"/adapters/released/kept/versions/{deleted}").status_code == 200
    asked = RoundGrants(grants=tuple(world.grant_for(client, 2, readable=(target,)) for client in ("vqa-1", "vqa-2")))
    assert world.call("aggregator", "PUT", f"/grants/{UID}/2", content=canonical_bytes(asked)).status_code == 204
    world.call("aggregator", "DELETE", f"/grants/{UID}")
    world.grant("vqa-1", 3)
    return world


QUESTIONS = [
    *[(who, "/adapters?limit=200") for who in ("viewer", "admin", "aggregator", "client:vqa-1")],
    ("viewer", "/adapters?state=deleted"),
    ("viewer", "/adapters/digits/task-vqa-connector/aliases"),
    ("viewer", "/adapters/released/kept/versions/main"),
    ("client:vqa-2", "/adapters"),
    ("viewer", "/lineage?run=digits"),
    ("admin", "/audit?limit=200"),
    *[("aggregator", f"/rounds/{UID}/{number}") for number in range(4)],
]


def answers(world: World) -> list:
    return [world.call(who, "GET", path).json() for who, path in QUESTIONS]


def drop_database(folder: Path) -> None:
    databases.lose(folder, folder / "state" / "registry.sqlite")


def reopened(world: World, folder: Path) -> World:
    world.app.state.registry.database.close()
    return World(app_in(folder), schema=world.schema)


def test_a_lost_database_is_rebuilt_at_the_start_with_identical_answers(world: World, folder: Path):
    busy_history(world)
    before, sealed = answers(world), world.seal(1).content
    world.app.state.registry.database.close()
    drop_database(folder)
    rebuilt = World(app_in(folder), schema=world.schema)
    assert answers(rebuilt) == before
    assert rebuilt.seal(1).content == sealed
    assert problem(rebuilt.put_grant(rebuilt.grant_for(uid="another"))) == (409, "name_taken")
    rebuilt.answer("vqa-1", 3, seed=5)
    rebuilt.app.state.registry.database.close()


def test_reindex_on_a_running_registry_changes_no_answer(world: World):
    busy_history(world)
    before = answers(world)
    report = world.call("admin", "POST", "/admin/reindex").json()
    assert report["versions"] == len(world.call("admin", "GET", "/adapters?limit=200").json()["items"])
    assert report["records"] == len(world.call("admin", "GET", "/audit?limit=200").json()["items"])
    assert answers(world) == before
    world.answer("vqa-1", 3, seed=5)


def test_reindex_repairs_rows_that_were_lost(world: World):
    from pilot_registry.tables import Alias
    from sqlalchemy import delete

    before = answers(world)
    with world.app.state.registry.database.writing() as session:
        session.execute(delete(Alias))
    assert answers(world) != before
    world.call("admin", "POST", "/admin/reindex")
    assert answers(world) == before


def test_a_database_from_an_older_backup_catches_up_with_the_store(world: World, folder: Path):
    world.app.state.registry.database.close()
    restore = databases.back_up(folder, folder / "state" / "registry.sqlite")
    later = reopened(world, folder)
    busy_history(later)
    before = answers(later)
    later.app.state.registry.database.close()
    drop_database(folder)
    restore()
    assert answers(reopened(later, folder)) == before


class Crash(BaseException):
    """The process dies here."""


class DyingStore:
    """Lets bytes through until it is told to die before the next index record."""

    def __init__(self, store) -> None:
        self._store = store
        self.dies = False

    def put_bytes(self, key: str, body: bytes) -> None:
        if self.dies:
            raise Crash
        self._store.put_bytes(key, body)

    def __getattr__(self, name: str):
        return getattr(self._store, name)


def test_a_crash_between_the_rows_and_the_record_is_made_good_at_the_next_start(world: World, folder: Path):
    registry = world.app.state.registry
    world.answer()
    dying = DyingStore(registry.store)
    registry.journal._store = dying
    dying.dies = True
    with pytest.raises(Crash):
        rounds.seal(registry, UID, 1, "aggregator")
    records = len(list(registry.store.list("index/")))
    restarted = reopened(world, folder)
    store = restarted.app.state.registry.store
    assert len(list(store.list("index/"))) == records + 1
    sealed = restarted.seal(1).content
    restarted.app.state.registry.database.close()
    drop_database(folder)
    assert World(app_in(folder)).seal(1).content == sealed


class RefusingStore(DyingStore):
    """A store that takes no records."""

    def put_bytes(self, key: str, body: bytes) -> None:
        if self.dies:
            raise OSError("read-only file system")
        self._store.put_bytes(key, body)


def test_a_store_that_refuses_records_delays_them_and_fails_no_request(world: World):
    registry = world.app.state.registry
    refusing = RefusingStore(registry.store)
    registry.journal._store = refusing
    refusing.dies = True
    world.grant()
    with registry.database.reading() as session:
        assert session.scalars(select(Outbox.sequence)).all()
    assert problem(world.call("admin", "POST", "/admin/reindex")) == (503, "unavailable")
    refusing.dies = False
    world.seal()
    with registry.database.reading() as session:
        assert not session.scalars(select(Outbox.sequence)).all()


def test_records_are_numbered_without_gaps_and_sort_by_their_keys(world: World):
    world.put(safetensors(tensors(1)))
    busy_history(world)
    keys = [stored.key for stored in world.app.state.registry.store.list("index/")]
    assert [sequence_of(key) for key in keys] == list(range(1, len(keys) + 1))
    assert sorted(map(record_key, (9_999, 10_000, 123_456_789))) == [
        record_key(number) for number in (9_999, 10_000, 123_456_789)
    ]
