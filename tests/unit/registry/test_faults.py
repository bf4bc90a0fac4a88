"""A full disk and a locked database are reported as such, and nothing is half written."""

import dataclasses
import errno

import pytest
from sqlalchemy import text
from unit.registry.world import UID, World, app_in, problem, safetensors, settings_in, tensors


class FullStore:
    """No space for files."""

    def __init__(self, store) -> None:
        self._store = store

    def begin(self, key: str, staged, size: int):
        put = self._store.begin(key, staged, size)
        put.finish = self._fail
        return put

    def _fail(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def __getattr__(self, name: str):
        return getattr(self._store, name)


class FullStaging:
    """No space for uploads: the first byte fails."""

    def __init__(self, staging) -> None:
        self._staging = staging

    def begin(self, limit: int):
        staged = self._staging.begin(limit)
        staged.write = self._fail
        return staged

    def _fail(self, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("part", ["store", "staging"])
def test_a_full_disk_is_507_and_leaves_nothing_behind(world: World, part: str):
    registry = world.app.state.registry
    world.grant()
    full = {"store": FullStore(registry.store), "staging": FullStaging(registry.staging)}[part]
    world.app.state.registry = dataclasses.replace(registry, **{part: full})
    assert problem(world.put(safetensors(tensors(1)))) == (507, "storage_full")
    assert not any((registry.settings.state_dir / "staging").iterdir())
    world.app.state.registry = registry
    seen = world.call("aggregator", "GET", f"/rounds/{UID}/1").json()
    assert seen["rejections"] == [], "the client is not to blame"
    assert world.put(safetensors(tensors(1))).status_code == 201


def test_a_locked_database_is_503_with_a_time_to_come_back(folder, world: World):
    from pilot_registry.app import build_app

    settings = settings_in(folder).model_copy(update={"busy_timeout_ms": 10})
    hasty = World(build_app(settings))
    with world.app.state.registry.database.writing() as session:
        session.execute(text("SELECT 1"))
        answer = hasty.put_grant(world.grant_for())
    assert problem(answer) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert hasty.put_grant(world.grant_for()).status_code == 201
    hasty.app.state.registry.database.close()


def test_readers_do_not_wait_for_a_writer(world: World):
    with world.app.state.registry.database.writing() as session:
        session.execute(text("SELECT 1"))
        assert world.call("viewer", "GET", "/adapters").status_code == 200


def test_the_migrations_make_the_tables_of_the_code(tmp_path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from pilot_registry.tables import Base

    engine = app_in(tmp_path).state.registry.database.engine
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_a_request_for_another_host_is_refused(world: World):
    assert world.call("viewer", "GET", "/adapters", headers={"host": "evil"}).status_code == 400


def test_a_json_body_has_a_limit(world: World):
    answer = world.call("aggregator", "PUT", f"/grants/{UID}/1/vqa-1", content=b"{" + b" " * (33 << 20))
    assert answer.status_code == 413
