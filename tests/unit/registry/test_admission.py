"""Each admission check, by a real file through the real application."""

import json
import os
import struct

import numpy as np
import pytest
from databases import every_database  # noqa: F401
from pilot_proto.canonical import digest_of
from unit.registry.world import UID, World, problem, safetensors, tensors, with_header


def upload(world: World, body: bytes, **options):
    """Send a file under a fresh grant and return the refusal."""
    world.grant()
    return problem(world.put(body, **options))


def nothing_staged(world: World) -> bool:
    return not any(world.app.state.registry.settings.state_dir.joinpath("staging").iterdir())


def rejections(world: World, round_: int = 1) -> list[tuple[str, str]]:
    seen = world.call("aggregator", "GET", f"/rounds/{UID}/{round_}").json()["rejections"]
    assert [item["sequence"] for item in seen] == sorted({item["sequence"] for item in seen})
    return [(item["client"], item["code"]) for item in seen]


def changed(**tensor: object) -> bytes:
    return safetensors({**tensors(1), **tensor})


GOOD = safetensors(tensors(1))


def test_a_file_that_matches_the_schema_is_admitted_with_its_digest_and_size(world: World):
    world.grant()
    answer = world.put(GOOD)
    assert answer.status_code == 201
    assert answer.json() == {"digest": digest_of(GOOD), "size": len(GOOD)}
    assert nothing_staged(world)


def test_the_same_file_again_is_200_but_read_and_hashed_again(world: World):
    world.grant()
    assert world.put(GOOD).status_code == 201
    assert world.put(GOOD).status_code == 200
    lied = world.put(b"other bytes", digest=digest_of(GOOD))
    assert problem(lied) == (422, "digest_mismatch")


def test_a_client_cannot_send_as_another_and_only_its_own_name_is_marked(world: World):
    world.grant("vqa-1")
    world.grant("vqa-2")
    assert problem(world.put(GOOD, client="vqa-1", who="client:vqa-2")) == (403, "identity_mismatch")
    assert rejections(world) == [("vqa-2", "identity_mismatch")]


def test_a_client_without_a_grant_is_stale_and_nothing_is_recorded(world: World):
    world.grant("vqa-2")
    assert problem(world.put(GOOD, client="vqa-1")) == (409, "stale_round")
    assert rejections(world) == []


def test_a_round_that_is_over_and_a_round_to_come_are_stale(world: World):
    world.grant(round_=1)
    assert problem(world.put(GOOD, round_=2)) == (409, "stale_round")
    world.seal(1)
    assert problem(world.put(GOOD, round_=1)) == (409, "round_closed")


def test_a_kind_that_the_grant_does_not_ask_for_is_refused(world: World):
    assert upload(world, GOOD, kind="text") == (422, "schema_mismatch")


def test_a_file_above_the_limit_is_refused_before_it_is_read(world: World):
    world.grant(max_bytes={"connector": len(GOOD) - 1})
    assert problem(world.put(GOOD)) == (413, "too_large")
    assert rejections(world) == [("vqa-1", "too_large")]


def test_reading_stops_at_the_limit_when_the_size_was_not_declared(world: World):
    sent = []

    async def endless():
        while True:
            sent.append(1)
            assert len(sent) < 1000, "the body is read without end"
            yield bytes(1 << 16)

    world.grant(max_bytes={"connector": 1 << 20})
    assert problem(world.put(GOOD, content=endless())) == (413, "too_large")
    assert nothing_staged(world)


def test_without_a_limit_in_the_grant_it_follows_from_the_schema(world: World):
    world.grant()
    assert problem(world.put(GOOD + bytes(2 << 20))) == (413, "too_large")


def test_wrong_bytes_for_a_digest_are_refused_and_leave_nothing(world: World):
    assert upload(world, GOOD, digest=digest_of(b"else")) == (422, "digest_mismatch")
    assert nothing_staged(world)
    assert not world.app.state.registry.store.exists(f"blobs/sha256/{digest_of(GOOD)[7:9]}/{digest_of(GOOD)[7:]}")


def test_a_truncated_body_is_refused(world: World):
    assert upload(world, GOOD[:-4], digest=digest_of(GOOD)) == (422, "digest_mismatch")
    assert problem(world.put(GOOD[:-4])) == (422, "corrupt")


def test_a_million_tensors_are_refused_by_the_length_of_their_header(world: World):
    entry = b'"%07d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    bomb = with_header(b"{" + b",".join(entry % number for number in range(1_000_000)) + b"}")
    assert len(bomb) > 50_000_000
    world.grant(max_bytes={"connector": 1 << 30})
    assert problem(world.put(bomb)) == (422, "header_too_large")
    assert nothing_staged(world)


@pytest.mark.parametrize(
    "header",
    [
        b"not json",
        b"[]",
        b"\xff\xfe",
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}}',
        b'{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}',
        b'{"__metadata__":{"a":1}}',
        b'{"__metadata__":{"a":"' + b"x" * (17 << 10) + b'"}}',
        b"[" * 100_000,
        b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}',
    ],
    ids=["text", "list", "no-utf8", "twice", "key-twice", "extra", "dtype", "meta", "big-meta", "deep", "digits"],
)
def test_a_header_that_is_not_strict_is_bad(world: World, header: bytes):
    assert upload(world, with_header(header, bytes(4))) == (422, "bad_header")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 1 << 63) + b"{}",
        struct.pack("<Q", 99) + b"{}",
        GOOD + b"tail",
        GOOD[:-1],
        with_header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', bytes(8)),
        with_header(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', bytes(4)),
        with_header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}', bytes(4)),
        with_header(
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
            bytes(4),
        ),
        with_header(b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'),
    ],
    ids=["empty", "7", "2^63", "long", "tail", "short", "hole", "shape", "reversed", "overlap", "overflow"],
)
def test_a_body_that_contradicts_its_header_is_corrupt(world: World, body: bytes):
    assert upload(world, body) == (422, "corrupt")


@pytest.mark.parametrize(
    "body",
    [
        safetensors({"a.weight": np.zeros((4, 3))}),
        changed(**{"c.extra": np.zeros(1)}),
        changed(**{"a.weight": np.zeros((3, 4))}),
        changed(**{"a.weight": np.zeros((4, 4))}),
        safetensors(tensors(1), dtype="I32"),
        safetensors({"a.weight": np.zeros((4, 3)), "../../etc/passwd": np.zeros(5)}),
        safetensors({"a.weight": np.zeros((4, 3)), "<script>": np.zeros(5)}),
        safetensors({}),
        with_header(json.dumps({"a.weight": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}).encode()),
    ],
    ids=["missing", "extra", "transposed", "larger", "dtype", "path", "script", "none", "zero-size"],
)
def test_a_file_with_other_tensors_than_the_schema_is_refused(world: World, body: bytes):
    assert upload(world, body) == (422, "schema_mismatch")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (3, 2)])
def test_one_value_that_is_not_finite_spoils_the_file(world: World, value: float, place: tuple[int, int]):
    wrong = tensors(1)["a.weight"]
    wrong[place] = value
    assert upload(world, changed(**{"a.weight": wrong})) == (422, "non_finite")
    assert rejections(world) == [("vqa-1", "non_finite")]


def test_the_largest_finite_values_are_finite(world: World):
    world.grant()
    assert world.put(changed(**{"a.weight": np.full((4, 3), 3.4e38)})).status_code == 201


def test_in_round_0_any_tensors_are_admitted_but_only_as_f32(tmp_path):
    from unit.registry.world import app_in

    world = World(app_in(tmp_path))
    world.grant("base", 0)
    other = safetensors({"any/name": np.zeros((2, 2))})
    assert world.put(other, client="base", round_=0).status_code == 201
    half = with_header(b'{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}', bytes(2))
    assert problem(world.put(half, client="base", round_=0)) == (422, "schema_mismatch")
    assert problem(world.put(safetensors({}), client="base", round_=0)) == (422, "schema_mismatch")


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff", b"[" * 100_000])
def test_a_small_file_that_is_no_strict_json_object_is_refused(world: World, body: bytes):
    assert upload(world, body, kind="update") == (422, "bad_document")


def test_a_small_file_has_a_limit_of_its_own(world: World):
    world.grant(max_bytes={"update": 20})
    assert world.put(b'{"a":1}', "update").status_code == 201
    assert problem(world.put(b'{"a":1234567890123456789}', "update")) == (413, "too_large")


def test_only_clients_and_the_aggregator_upload(world: World):
    for who in ("viewer", "operator", "admin"):
        assert problem(world.put(GOOD, client=None, who=who)) == (403, "forbidden")
    assert problem(world.put(GOOD, client="vqa-1", who="aggregator")) == (403, "identity_mismatch")
    assert problem(world.put(GOOD, client=None, uid="nobodys-run")) == (404, "not_found")
    assert world.put(GOOD, client=None).status_code == 201


def test_the_aggregators_own_files_must_be_finite_and_f32_too(world: World):
    assert problem(world.put(changed(b=np.full(1, np.nan)), client=None)) == (422, "non_finite")


def test_a_file_larger_than_one_chunk_is_read_to_its_last_value(world: World):
    large = np.zeros(1_000_003)
    last = large.copy()
    last[-1] = np.nan
    assert world.put(safetensors({"x": large}), client=None).status_code == 201
    assert problem(world.put(safetensors({"x": last}), client=None)) == (422, "non_finite")


def test_a_connection_that_ends_early_leaves_nothing_and_rejects_nobody(world: World):
    import asyncio

    from unit.registry.world import API

    world.grant()
    messages = [
        {"type": "http.request", "body": GOOD[:50], "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent = []
    query = f"digest={digest_of(GOOD)}&uid={UID}&round=1&kind=connector&client=vqa-1"

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "PUT",
        "scheme": "http",
        "path": f"{API}/files",
        "raw_path": f"{API}/files".encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"registry"), (b"authorization", b"Bearer client:vqa-1")],
        "client": ("127.0.0.1", 1),
        "server": ("registry", 80),
        "state": {},
    }
    asyncio.run(world.app(scope, receive, send))
    assert nothing_staged(world)
    assert rejections(world) == []


def test_leftovers_of_a_crash_are_removed_from_the_staging_folder_at_the_start(folder):
    from unit.registry.world import app_in

    left = folder / "state" / "staging" / "left-over"
    left.write_bytes(os.urandom(10))
    app = app_in(folder)
    assert not left.exists()
    app.state.registry.database.close()
