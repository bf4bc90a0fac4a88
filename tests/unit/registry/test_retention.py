"""Retention: tombstones keep the record, garbage collection takes the bytes, and never too much."""

import os

import pytest
from databases import every_database  # noqa: F401
from pilot_proto.canonical import digest_of
from unit.registry.world import UID, World, app_in, problem, safetensors, tensors

YEAR = 365 * 86400


def store(world: World):
    return world.app.state.registry.store


def age(world: World, seconds: float = 2 * YEAR) -> None:
    """Let every blob look old."""
    root = world.app.state.registry.settings.state_dir / "store" / "blobs"
    for path in root.rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime - seconds
            os.utime(path, (then, then))


def collect(world: World, dry_run: bool = False, older_than_s: int = 86400) -> dict:
    answer = world.call("admin", "POST", f"/admin/gc?dry_run={dry_run}&older_than_s={older_than_s}")
    assert answer.status_code == 200, answer.text
    report: dict = answer.json()
    return report


def here(world: World, body: bytes) -> bool:
    digest = digest_of(body).removeprefix("sha256:")
    return store(world).exists(f"blobs/sha256/{digest[:2]}/{digest}")


def retire(world: World, round_: int = 1):
    return world.call("aggregator", "POST", f"/rounds/{UID}/{round_}/retire")


def test_a_tombstone_keeps_digest_size_and_norm_and_its_bytes_are_gone(world: World):
    commit = world.answer()
    world.seal()
    path = f"digits/client-vqa-1-update/resolve/{commit}/connector/model.safetensors"
    before = world.call("aggregator", "GET", f"/adapters/digits/client-vqa-1-update/versions/{commit}").json()
    for _ in range(2):
        assert retire(world).json() == {"tombstones": 1}
    after = world.call("aggregator", "GET", f"/adapters/digits/client-vqa-1-update/versions/{commit}").json()
    assert after == {**before, "state": "deleted"}
    norm = after["files"]["connector/model.safetensors"]["norm"]
    values = [x for array in tensors(1).values() for x in array.astype("float32").ravel().tolist()]
    assert norm == pytest.approx(sum(x * x for x in values) ** 0.5, rel=1e-12)
    for who in ("aggregator", "client:vqa-1"):
        assert problem(world.call(who, "GET", f"//{path}")) == (410, "deleted")


def test_the_sealed_answer_survives_retention(world: World):
    world.answer()
    sealed = world.seal().content
    retire(world)
    assert world.seal().content == sealed


def test_an_open_round_cannot_be_retired(world: World):
    world.answer()
    assert problem(retire(world)) == (409, "round_open")
    world.call("aggregator", "DELETE", f"/grants/{UID}")
    assert retire(world).json() == {"tombstones": 1}


def test_a_dry_run_counts_and_deletes_nothing(world: World):
    world.answer()
    world.seal()
    retire(world)
    age(world)
    would = collect(world, dry_run=True)
    assert here(world, safetensors(tensors(1)))
    did = collect(world)
    assert did == {**would, "dry_run": False}
    assert did["blobs"] == 2, "the adapter and its update.json"
    assert not here(world, safetensors(tensors(1)))
    assert collect(world)["blobs"] == 0


def test_living_versions_plans_and_ledgers_stay(world: World):
    world.answer()
    world.seal()
    assert world.publish(world.publication(world.output("task-vqa-connector"))).status_code == 201
    age(world)
    assert collect(world)["blobs"] == 0
    assert here(world, b'{"plan":1}')
    assert here(world, b'{"ledger":1}')


def test_garbage_younger_than_the_grace_stays(world: World):
    world.grant()
    world.put(safetensors(tensors(9)))
    world.seal()
    age(world, 0)
    assert collect(world, older_than_s=86400)["blobs"] == 0


def test_bytes_under_an_open_grant_stay_and_go_after_the_seal(world: World):
    world.grant()
    world.put(safetensors(tensors(9)))
    age(world)
    assert collect(world)["blobs"] == 0
    world.seal()
    assert collect(world)["blobs"] == 1


def test_bytes_under_a_revoked_grant_go(world: World):
    world.grant()
    world.put(safetensors(tensors(9)))
    world.call("aggregator", "DELETE", f"/grants/{UID}")
    age(world)
    assert collect(world)["blobs"] == 1


def test_what_the_aggregator_sent_stays_until_its_round_is_published(world: World):
    world.answer()
    world.seal()
    world.output("task-vqa-connector", seed=70)
    age(world)
    assert collect(world)["blobs"] == 0
    assert world.publish(world.publication(world.output("task-vqa-connector", seed=71))).status_code == 201
    assert collect(world)["blobs"] == 1


def test_a_tombstones_bytes_stay_while_another_version_uses_them(world: World):
    world.answer("vqa-1", seed=1)
    world.seal()
    output = world.output("client-vqa-1-connector", contributors=("vqa-1",), seed=1)
    assert world.publish(world.publication(output)).status_code == 201
    retire(world)
    age(world)
    assert collect(world)["blobs"] == 1, "update.json only"
    assert here(world, safetensors(tensors(1)))


def test_a_released_version_keeps_its_bytes(world: World):
    world.grant()
    world.seal()
    assert world.publish(world.publication(world.output("task-vqa-connector"))).status_code == 201
    path = "/adapters/digits/task-vqa-connector/versions/main/release"
    assert world.call("operator", "POST", path, json={"name": "kept"}).status_code == 201
    age(world)
    assert collect(world)["blobs"] == 0


def test_bytes_that_come_again_are_young_again(world: World):
    world.grant()
    world.put(safetensors(tensors(9)))
    world.seal()
    age(world)
    world.grant(round_=2)
    world.put(safetensors(tensors(9)), round_=2)
    assert collect(world)["blobs"] == 0


def test_the_collection_runs_by_itself_while_serving(folder, monkeypatch):
    import asyncio

    app = app_in(folder)
    registry = app.state.registry
    settings = registry.settings.model_copy(update={"gc_every_s": 1})
    object.__setattr__(registry, "settings", settings)

    async def serve_until_swept() -> None:
        async with app.router.lifespan_context(app):
            while registry.metrics.registry.get_sample_value("pilot_gc_runs_total") == 0:
                await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(serve_until_swept(), 60))
