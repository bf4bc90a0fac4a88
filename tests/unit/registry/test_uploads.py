"""Uploads in parts: they go on where they stopped, under the same rules as a file that comes at once."""

import asyncio
import json
import os
from pathlib import Path

import httpx
import numpy as np
import pytest
from broken_line import broken_line
from pilot_client.errors import ApiError
from pilot_client.registry import RegistryClient
from pilot_client.transport import Token, Transport
from pilot_http.auth import Principal
from pilot_http.problems import PilotError
from pilot_proto.canonical import digest_of
from pilot_registry.admission import resumable, sessions
from starlette.requests import ClientDisconnect
from unit.registry.test_process import serving
from unit.registry.test_retention import YEAR, collect
from unit.registry.world import API, UID, World, app_in, problem, safetensors, tensors

GOOD = safetensors(tensors(1))
HALF = len(GOOD) // 2


def begin(world: World, body: bytes = GOOD, client: str | None = "vqa-1", **changes):
    query = {"digest": digest_of(body), "size": len(body), "uid": UID, "round": 1, "kind": "connector", **changes}
    if client:
        query["client"] = client
    return world.call(changes.pop("who", None) or f"client:{client}", "POST", "/uploads", params=query)


def part(world: World, id: str, offset: int, body, who: str = "client:vqa-1"):
    return world.call(who, "PATCH", f"/uploads/{id}?offset={offset}", content=body)


def complete(world: World, id: str, who: str = "client:vqa-1"):
    return world.call(who, "POST", f"/uploads/{id}/complete")


def on_disk(world: World) -> list[str]:
    return sorted(path.suffix for path in (world.app.state.registry.settings.state_dir / "uploads").iterdir())


def test_a_file_in_parts_is_admitted_like_one_that_came_at_once(world: World):
    world.grant()
    begun = begin(world)
    assert begun.status_code == 201
    id = begun.json()["id"]
    assert begun.json() == {"id": id, "offset": 0, "size": len(GOOD), "admitted": False}
    assert part(world, id, 0, GOOD[:HALF]).json()["offset"] == HALF
    assert part(world, id, HALF, GOOD[HALF:]).json()["offset"] == len(GOOD)
    done = complete(world, id)
    assert (done.status_code, done.json()) == (201, {"digest": digest_of(GOOD), "size": len(GOOD)})
    assert on_disk(world) == []
    again = begin(world)
    assert (again.status_code, again.json()["admitted"]) == (200, True), "the answer may have been lost"
    assert problem(complete(world, id)) == (404, "upload_unknown")
    manifest, told = world.update_for(world.grant_for(), GOOD)
    world.put(told, "update")
    assert world.commit(manifest).status_code == 201


def test_the_same_question_finds_the_same_upload_after_a_restart(world: World, folder: Path):
    world.grant()
    id = begin(world).json()["id"]
    part(world, id, 0, GOOD[:HALF])
    world.app.state.registry.database.close()
    restarted = World(app_in(folder), schema=world.schema)
    found = begin(restarted)
    assert (found.status_code, found.json()["id"], found.json()["offset"]) == (200, id, HALF)
    part(restarted, id, HALF, GOOD[HALF:])
    assert complete(restarted, id).status_code == 201
    restarted.app.state.registry.database.close()


def test_after_the_machine_has_died_only_what_was_synced_counts(world: World, folder: Path):
    world.grant()
    id = begin(world).json()["id"]
    part(world, id, 0, GOOD[:HALF])
    world.app.state.registry.database.close()
    uploads = folder / "state" / "uploads"
    record = json.loads((uploads / f"{id}.json").read_text())
    assert record["boot"]
    synced = {**record, "offset": HALF - 3, "boot": "another start of it"}
    (uploads / f"{id}.json").write_text(json.dumps(synced))
    with (uploads / f"{id}.part").open("r+b") as file:
        file.seek(HALF - 3)
        file.write(bytes(5))
    restarted = World(app_in(folder), schema=world.schema)
    assert begin(restarted).json()["offset"] == HALF - 3
    part(restarted, id, HALF - 3, GOOD[HALF - 3 :])
    assert complete(restarted, id).status_code == 201
    restarted.app.state.registry.database.close()


def test_what_was_synced_is_written_down_now_and_then(world: World, folder: Path, monkeypatch):
    monkeypatch.setattr(sessions, "SYNC_S", 0.0)
    world.grant()
    id = begin(world).json()["id"]
    part(world, id, 0, GOOD[:HALF])
    assert json.loads((folder / "state" / "uploads" / f"{id}.json").read_text())["offset"] == HALF


def test_a_file_that_the_store_took_before_a_crash_is_sent_again(world: World, folder: Path):
    world.grant()
    id = begin(world).json()["id"]
    part(world, id, 0, GOOD)
    world.app.state.registry.database.close()
    (folder / "state" / "uploads" / f"{id}.part").unlink()  # moved into the store; no row says so
    restarted = World(app_in(folder), schema=world.schema)
    assert begin(restarted).json()["offset"] == 0
    part(restarted, id, 0, GOOD[:HALF])
    restarted.app.state.registry.database.close()
    again = World(app_in(folder), schema=world.schema)
    assert begin(again).json()["offset"] == HALF
    part(again, id, HALF, GOOD[HALF:])
    assert complete(again, id).status_code == 201
    again.app.state.registry.database.close()


def test_after_a_completion_that_broke_off_the_disk_says_how_far_it_is(world: World):
    world.grant()
    id = begin(world).json()["id"]
    part(world, id, 0, GOOD)
    (world.app.state.registry.settings.state_dir / "uploads" / f"{id}.part").unlink()
    assert complete(world, id).status_code >= 500
    told = complete(world, id)
    assert (problem(told), told.headers["Upload-Offset"]) == ((409, "incomplete"), "0")
    part(world, id, 0, GOOD)
    assert complete(world, id).status_code == 201


def test_a_part_from_the_wrong_place_is_refused_with_the_right_one(world: World):
    world.grant()
    id = begin(world).json()["id"]
    part(world, id, 0, GOOD[:HALF])
    for offset in (0, HALF + 1):
        answer = part(world, id, offset, b"x")
        assert problem(answer) == (409, "wrong_offset")
        assert answer.headers["upload-offset"] == str(HALF)
    early = complete(world, id)
    assert (problem(early), early.headers["upload-offset"]) == ((409, "incomplete"), str(HALF))


def test_of_a_part_that_breaks_off_what_came_counts(world: World):
    world.grant()
    id = begin(world).json()["id"]

    async def cut():
        yield GOOD[:HALF]
        raise ClientDisconnect

    registry, sender = world.app.state.registry, Principal("client", "vqa-1")
    with pytest.raises(ClientDisconnect):
        asyncio.run(resumable.append(registry, sender, id, 0, cut()))
    assert begin(world).json()["offset"] == HALF


def test_a_connection_that_hangs_is_overtaken_by_the_next(world: World, monkeypatch):
    monkeypatch.setattr(sessions, "HAND_OVER_S", 0.01)
    world.grant()
    id = begin(world).json()["id"]
    session = world.app.state.registry.sessions.find(id, "client:vqa-1")
    hanging = session.take(0)
    session.write(hanging, GOOD[:10])
    assert begin(world).json()["offset"] == 10
    assert part(world, id, 10, GOOD[10:]).json()["offset"] == len(GOOD)
    with pytest.raises(PilotError) as refused:
        session.write(hanging, b"late")
    assert refused.value.code == "taken_over"
    assert complete(world, id).status_code == 201


def test_an_upload_belongs_to_its_sender(world: World):
    world.grant("vqa-1")
    world.grant("vqa-2")
    id = begin(world).json()["id"]
    assert begin(world, client="vqa-2").json()["id"] != id
    assert problem(part(world, id, 0, GOOD, who="client:vqa-2")) == (404, "upload_unknown")
    assert problem(complete(world, id, who="client:vqa-2")) == (404, "upload_unknown")
    assert problem(begin(world, client="vqa-1", who="client:vqa-2")) == (403, "identity_mismatch")
    for who in ("viewer", "operator", "admin"):
        assert begin(world, who=who).status_code == 403


def test_the_rules_hold_at_the_beginning(world: World):
    assert problem(begin(world)) == (409, "stale_round")
    world.grant(max_bytes={"connector": len(GOOD) - 1})
    assert problem(begin(world)) == (413, "too_large")
    assert problem(begin(world, kind="text")) == (422, "schema_mismatch")
    assert begin(world, size=0).status_code == 422
    assert on_disk(world) == []


def test_more_than_was_announced_ends_the_upload(world: World):
    world.grant()
    id = begin(world).json()["id"]
    assert problem(part(world, id, 0, GOOD + b"x")) == (413, "too_large")
    assert on_disk(world) == []
    assert problem(part(world, id, 0, GOOD)) == (404, "upload_unknown")


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (safetensors({**tensors(1), "a.weight": np.full((4, 3), np.nan)}), "non_finite"),
        (safetensors({**tensors(1), "extra": np.ones(2)}), "schema_mismatch"),
        (b"\x00" * 200, "bad_header"),
    ],
)
def test_a_file_that_admission_refuses_leaves_nothing(world: World, bad: bytes, code: str):
    world.grant()
    id = begin(world, bad).json()["id"]
    part(world, id, 0, bad)
    status, found = problem(complete(world, id))
    assert status == 422
    assert found in (code, "corrupt")
    assert on_disk(world) == []
    digest = digest_of(bad).removeprefix("sha256:")
    assert not world.app.state.registry.store.exists(f"blobs/sha256/{digest[:2]}/{digest}")
    told = world.call("aggregator", "GET", f"/rounds/{UID}/1").json()["rejections"]
    assert [item["code"] for item in told] == [found]


def test_other_bytes_than_announced_are_a_digest_mismatch(world: World):
    world.grant()
    id = begin(world).json()["id"]
    part(world, id, 0, bytes(len(GOOD)))
    assert problem(complete(world, id)) == (422, "digest_mismatch")
    assert on_disk(world) == []


@pytest.mark.parametrize("how", ["seal", "revoke"])
@pytest.mark.parametrize("when", ["part", "complete", "begin"])
def test_a_round_that_ends_ends_its_uploads(world: World, how: str, when: str):
    world.grant()
    id = begin(world).json()["id"]
    part(world, id, 0, GOOD)
    if how == "seal":
        world.seal()
    else:
        world.call("aggregator", "DELETE", f"/grants/{UID}")
    act = {"part": lambda: part(world, id, len(GOOD), b""), "complete": lambda: complete(world, id)}
    assert problem(act.get(when, lambda: begin(world))()) == (409, "round_closed")
    assert (on_disk(world) == []) is (when != "begin")


def test_a_sender_has_a_few_uploads_at_once_and_the_oldest_gives_way(world: World):
    from pilot_registry.admission.sessions import MAX_OPEN

    world.grant()
    bodies = [safetensors(tensors(seed)) for seed in range(MAX_OPEN + 1)]
    folder = world.app.state.registry.settings.state_dir / "uploads"
    ids = []
    for age, body in enumerate(bodies):
        ids.append(begin(world, body).json()["id"])
        os.utime(folder / f"{ids[-1]}.json", (1000 + age, 1000 + age))
    assert sorted(path.stem for path in folder.glob("*.json")) == sorted(ids[1:])
    assert problem(part(world, ids[0], 0, b"x")) == (404, "upload_unknown")


def test_uploads_that_nobody_goes_on_with_are_collected(world: World):
    world.grant()
    id = begin(world).json()["id"]
    assert collect(world)["uploads"] == 0
    intent = world.app.state.registry.settings.state_dir / "uploads" / f"{id}.json"
    os.utime(intent, (intent.stat().st_mtime - 2 * YEAR,) * 2)
    assert collect(world, dry_run=True)["uploads"] == 1
    assert on_disk(world) == [".json", ".part"]
    assert collect(world)["uploads"] == 1
    assert on_disk(world) == []


def test_the_aggregator_sends_outputs_in_parts_without_a_grant(world: World):
    world.grant()
    id = begin(world, client=None, who="aggregator").json()["id"]
    part(world, id, 0, GOOD, who="aggregator")
    assert complete(world, id, who="aggregator").status_code == 201


@pytest.mark.parametrize("route", ["file", "part"])
def test_a_sender_that_falls_silent_is_cut_and_what_it_sent_in_parts_stays(world: World, route: str):
    registry = world.app.state.registry
    object.__setattr__(registry, "settings", registry.settings.model_copy(update={"upload_idle_s": 0.05}))
    world.grant()
    id = begin(world).json()["id"]

    async def stalling():
        yield GOOD[:HALF]
        await asyncio.sleep(60)

    if route == "file":
        answer = world.put(GOOD, content=stalling())
    else:
        answer = part(world, id, 0, stalling())
    assert problem(answer) == (408, "idle_body")
    assert not any((registry.settings.state_dir / "staging").iterdir())
    assert begin(world).json()["offset"] in (0, HALF)


def test_a_slow_sender_is_no_trouble(world: World):
    registry = world.app.state.registry
    object.__setattr__(registry, "settings", registry.settings.model_copy(update={"upload_idle_s": 2.0}))
    world.grant()

    async def trickling():
        for begin in range(0, len(GOOD), 16):
            await asyncio.sleep(0.005)
            yield GOOD[begin : begin + 16]

    assert world.put(GOOD, content=trickling()).status_code == 201


# -- over a line that breaks, to a real process


def bearer(who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {who}"}


def grant_large(url: str, limit: int) -> None:
    from pilot_proto.canonical import canonical_bytes

    grant = World(None).grant_for(schemas={}, max_bytes={"connector": limit})
    path = f"{url}{API}/grants/{UID}/1/vqa-1"
    assert httpx.put(path, content=canonical_bytes(grant), headers=bearer("aggregator")).status_code == 201


def sender(endpoint: str, patience_s: float = 30) -> RegistryClient:
    return RegistryClient(Transport(f"http://{endpoint}", Token("client:vqa-1"), patience_s=patience_s))


def large_file(folder: Path, megabytes: int = 4) -> Path:
    file = folder / "large.safetensors"
    values = np.random.default_rng(0).normal(size=megabytes << 18).astype("float32")
    file.write_bytes(safetensors({"a": values}))
    return file


def test_an_upload_over_a_line_that_keeps_breaking_sends_every_byte_about_once(folder: Path, tmp_path: Path):
    file = large_file(tmp_path)
    size, where = file.stat().st_size, {"uid": UID, "round": 1, "kind": "connector", "client": "vqa-1"}
    with serving(folder) as (_, url):
        grant_large(url, size)
        with broken_line(url, cut_after=600_000) as line:
            client = sender(line.endpoint)
            client.put_file(file, digest_of(file.read_bytes()), **where, part_bytes=1 << 20)
            client.transport.close()
        assert line.broken >= size // 1_000_000
        assert size < line.sent < 1.5 * size, "what was on the line when it broke, and no more, went twice"
        sent = line.sent
        again = sender(line.endpoint.replace(line.endpoint, url.removeprefix("http://")))
        again.put_file(file, digest_of(file.read_bytes()), **where, part_bytes=1 << 20)
        again.transport.close()
        assert line.sent == sent


def test_a_sender_and_a_registry_that_start_again_go_on_where_they_were(folder: Path, tmp_path: Path):
    file = large_file(tmp_path)
    size, where = file.stat().st_size, {"uid": UID, "round": 1, "kind": "connector", "client": "vqa-1"}
    digest = digest_of(file.read_bytes())
    with serving(folder) as (process, url):
        grant_large(url, size)
        with broken_line(url, cut_after=2_500_000) as line:
            hasty = sender(line.endpoint, patience_s=0)
            with pytest.raises(Exception, match="did not answer"):
                # Without patience the first break is the end: this sender is gone.
                hasty.transport.patiently(lambda: _once(hasty, file, {**where, "digest": digest, "size": size}))
            hasty.transport.close()
        process.kill()
    with serving(folder) as (_, url), broken_line(url, cut_after=None) as line:
        client = sender(line.endpoint)
        client.put_file(file, digest, **where, part_bytes=1 << 20)
        client.transport.close()
        assert line.sent < size - 1_000_000, "at least one part of the first sender is still here"


def _once(client: RegistryClient, file: Path, params: dict) -> None:
    begun = client.transport.once("POST", f"{API}/uploads", params=params).json()
    path = f"{API}/uploads/{begun['id']}"
    client.transport.send_part("PATCH", path, file, {"offset": 0}, 0, 1 << 20)
    client.transport.send_part("PATCH", path, file, {"offset": 1 << 20}, 1 << 20, 3 << 20)


def test_what_the_registry_refuses_is_not_sent_again(folder: Path, tmp_path: Path):
    file = large_file(tmp_path, 2)
    with serving(folder) as (_, url):
        grant_large(url, 1 << 20)
        client = sender(url.removeprefix("http://"))
        with pytest.raises(ApiError) as refused:
            client.put_file(
                file,
                digest_of(file.read_bytes()),
                uid=UID,
                round=1,
                kind="connector",
                client="vqa-1",
                part_bytes=1 << 20,
            )
        client.transport.close()
    assert refused.value.code == "too_large"
