"""The disaster drill of docs/operations.md, on a folder and on a bucket: lose the index, lose everything, go on."""

import dataclasses
import shutil
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from minio_server import Server
from pilot_proto.canonical import digest_of
from pilot_registry import garbage
from pilot_registry.app import build_app
from pilot_registry.settings import Settings
from pilot_registry.store.port import blob_key
from unit.registry.test_journal import answers, busy_history, drop_database
from unit.registry.test_uploads import begin, complete, part
from unit.registry.world import Clock, World, problem, safetensors, settings_in, tensors


@dataclass
class Place:
    """A deployment's state folder, and its store, which may be elsewhere."""

    folder: Path
    server: Server | None
    bucket: str = ""
    opened: World | None = None

    def settings(self) -> Settings:
        known = settings_in(self.folder)
        if self.server is None:
            return known
        return Settings(**{**known.model_dump(), **self.server.settings(self.bucket)})

    def open(self, schema: dict | None = None) -> World:
        self.opened = World(build_app(self.settings(), Clock()), schema=schema or {})
        return self.opened

    def close(self) -> None:
        if self.opened is not None:
            self.opened.app.state.registry.close()
            self.opened = None

    def copy_store(self, target: Path) -> None:
        if self.server is None:
            shutil.copytree(self.folder / "state" / "store", target)
            return
        client = self.server.client()
        for found in client.list_objects(self.bucket, recursive=True):
            client.fget_object(self.bucket, found.object_name, str(target / found.object_name))

    def restore_store(self, source: Path) -> None:
        if self.server is None:
            shutil.rmtree(self.folder / "state" / "store")
            shutil.copytree(source, self.folder / "state" / "store")
            return
        self.bucket = self.server.bucket()
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            self.server.client().fput_object(self.bucket, file.relative_to(source).as_posix(), str(file))


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path):
    server = request.getfixturevalue("minio") if request.param == "bucket" else None
    place = Place(tmp_path / "registry", server, server.bucket() if server else "")
    yield place
    place.close()


def back_up_sql(database: Path, target: Path) -> None:
    """A copy that is consistent although a server has the database open."""
    with sqlite3.connect(database) as source, sqlite3.connect(target) as copy:
        source.backup(copy)
    source.close()
    copy.close()


def go_on(world: World) -> None:
    """The run that was going on: its next round is answered, sealed and published."""
    commit = world.answer("vqa-1", 3, seed=7)
    world.answer("vqa-2", 3, seed=8)
    assert world.seal(3).status_code == 200
    output = world.output(
        "task-vqa-connector", 3, seed=60, parents=({"repo": "digits/client-vqa-1-update", "commit": commit},)
    )
    assert world.publish(world.publication(output, round_=3)).status_code == 201
    found = world.call("viewer", "GET", "//digits/task-vqa-connector/resolve/round-3/model.safetensors")
    assert found.content == safetensors(tensors(60))
    assert world.call("admin", "GET", "/admin/check?deep=true").json()["ok"]


def test_the_store_alone_brings_the_index_back_and_the_run_goes_on(place: Place):
    world = busy_history(place.open().prepare())
    before = answers(world)
    place.close()
    drop_database(place.folder)
    rebuilt = place.open(world.schema)
    assert answers(rebuilt) == before
    go_on(rebuilt)


def test_a_backup_taken_while_it_serves_brings_everything_back_and_the_run_goes_on(place: Place, tmp_path: Path):
    world = busy_history(place.open().prepare())
    database = place.folder / "state" / "registry.sqlite"
    # SQL first, then the store: what comes in between is in the store's journal, and is replayed.
    back_up_sql(database, tmp_path / "backup.sqlite")
    repo = "digits/task-vqa-connector"
    commit = world.call("viewer", "GET", f"/adapters/{repo}/versions/main").json()["commit"]
    alias = {"json": {"commit": commit}, "headers": {"if-none-match": "*"}}
    assert world.call("operator", "PUT", f"/adapters/{repo}/aliases/in-between", **alias).status_code == 200
    place.copy_store(tmp_path / "store")
    before = answers(world)
    world.answer("vqa-1", 3, seed=9)
    place.close()
    drop_database(place.folder)
    shutil.rmtree(place.folder / "state" / "uploads")

    place.restore_store(tmp_path / "store")
    shutil.copy(tmp_path / "backup.sqlite", database)
    restored = place.open(world.schema)
    assert answers(restored) == before
    assert restored.call("admin", "GET", "/admin/check?deep=true").json()["ok"]
    go_on(restored)


def test_a_folder_moves_into_a_bucket_by_copying_its_keys(minio: Server, tmp_path: Path):
    place = Place(tmp_path / "registry", None)
    world = busy_history(place.open().prepare())
    before = answers(world)
    place.close()
    moved = Place(place.folder, minio)
    moved.restore_store(place.folder / "state" / "store")
    shutil.rmtree(place.folder / "state" / "store")
    there = moved.open(world.schema)
    assert answers(there) == before
    go_on(there)
    moved.close()


def test_admission_commits_and_retention_work_on_a_bucket(minio: Server, tmp_path: Path):
    place = Place(tmp_path / "registry", minio, minio.bucket())
    world = place.open().prepare()
    commit = world.answer()
    world.grant("vqa-2")
    assert problem(world.put(safetensors({**tensors(2), "extra": [1.0]}), client="vqa-2")) == (422, "schema_mismatch")
    path = f"//digits/client-vqa-1-update/resolve/{commit}/connector/model.safetensors"
    whole = safetensors(tensors(1))
    assert world.call("aggregator", "GET", path).content == whole
    part = world.call("aggregator", "GET", path, headers={"Range": "bytes=8-19"})
    assert (part.status_code, part.content) == (206, whole[8:20])
    world.seal()
    world.call("aggregator", "POST", f"/rounds/{world.uid}/1/retire")
    registry = place.opened.app.state.registry
    later = dataclasses.replace(registry, clock=lambda: datetime.now(UTC) + timedelta(hours=1))
    assert garbage.collect(later, 60, dry_run=False).blobs == 2, "the update and its update.json"
    assert garbage.collect(later, 60, dry_run=False).blobs == 0
    assert world.call("admin", "GET", "/admin/check?deep=true").json()["ok"]
    place.close()


def test_a_bucket_that_fills_up_while_serving_is_507_and_leaves_no_row(minio: Server, tmp_path: Path):
    place = Place(tmp_path / "registry", minio, minio.bucket())
    world = place.open().prepare()
    world.grant()
    minio.admin().bucket_quota_set(place.bucket, 1)
    body = safetensors(tensors(1))
    full = world.put(body)
    assert problem(full) == (507, "storage_full")
    assert place.bucket in full.json()["detail"]
    assert "quota" in full.json()["hint"]
    manifest, told = world.update_for(world.grant_for(), body)
    minio.admin().bucket_quota_clear(place.bucket)
    world.put(told, "update")
    assert problem(world.commit(manifest)) == (409, "not_uploaded"), "no row before bytes"
    assert world.put(body).status_code == 201
    assert world.commit(manifest).status_code == 201
    place.close()


def test_a_bucket_whose_keys_are_withdrawn_is_503_here_and_in_readyz(minio: Server, tmp_path: Path):
    access, secret = minio.user("readwrite")
    place = Place(tmp_path / "registry", minio, minio.bucket())
    place.server = None
    settings = {**minio.settings(place.bucket), "s3_access_key": access, "s3_secret_key": secret}
    world = World(build_app(Settings(**{**settings_in(place.folder).model_dump(), **settings}), Clock())).prepare()
    world.grant()
    assert world.call("viewer", "GET", "//readyz").status_code == 200
    minio.admin().user_remove(access)
    refused = world.put(safetensors(tensors(1)))
    assert problem(refused) == (503, "store_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    away = world.call("viewer", "GET", "//readyz")
    assert away.status_code == 503
    assert "no such access key" in away.json()["detail"]
    world.app.state.registry.close()


def test_an_upload_in_parts_to_a_bucket_goes_on_after_a_restart_and_leaves_no_parts(minio: Server, tmp_path: Path):
    place = Place(tmp_path / "registry", minio, minio.bucket())
    world = place.open().prepare()
    body = safetensors({"a": np.random.default_rng(0).normal(size=7 << 19)})
    whole = {"schemas": {}, "max_bytes": {"connector": 2 * len(body)}}
    world.grant(**whole)
    cut = len(body) - 1000
    id = begin(world, body).json()["id"]
    assert part(world, id, 0, body[:cut]).json()["offset"] == cut
    key = blob_key(digest_of(body))
    client = minio.client()
    assert client._list_multipart_uploads(place.bucket, prefix=key).uploads, "it is on its way already"
    assert not place.opened.app.state.registry.store.exists(key)
    place.close()
    assert not client._list_multipart_uploads(place.bucket, prefix=key).uploads
    restarted = place.open(world.schema)
    assert begin(restarted, body).json()["offset"] == cut
    part(restarted, id, cut, body[cut:])
    assert complete(restarted, id).status_code == 201
    assert not client._list_multipart_uploads(place.bucket, prefix=key).uploads
    with place.opened.app.state.registry.store.open(key) as reader:
        assert reader.read_at(0, len(body)) == body
