"""Reading: files with their headers and ranges, listings with cursors, comparisons, pages."""

import numpy as np
import pytest
from databases import every_database  # noqa: F401
from pilot_proto.canonical import digest_of
from pilot_proto.manifest import Manifest
from pilot_registry.download import BadRange, byte_range
from pilot_registry.records import Published
from unit.registry.world import UID, World, file_ref, problem, safetensors, tensors

BASE = "//digits/base-connector/resolve/main/model.safetensors"
BODY = safetensors(tensors(0))


def test_a_file_comes_with_the_headers_that_clients_of_the_hub_need(world: World):
    for method in ("GET", "HEAD"):
        answer = world.call("viewer", method, BASE)
        assert answer.status_code == 200
        assert answer.headers["x-repo-commit"] == world.schema["connector"].commit
        assert answer.headers["etag"] == f'"{digest_of(BODY).removeprefix("sha256:")}"'
        assert answer.headers["content-length"] == str(len(BODY))
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.content == (BODY if method == "GET" else b"")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-3", (0, 4)),
        ("bytes=10-", (10, len(BODY))),
        ("bytes=-7", (len(BODY) - 7, len(BODY))),
        ("bytes=0-999999", (0, len(BODY))),
    ],
)
def test_a_range_is_answered_with_its_bytes(world: World, header: str, expected: tuple[int, int]):
    answer = world.call("viewer", "GET", BASE, headers={"range": header})
    begin, end = expected
    assert answer.status_code == 206
    assert answer.content == BODY[begin:end]
    assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{len(BODY)}"


def test_a_range_behind_the_end_is_416_and_says_the_size(world: World):
    answer = world.call("viewer", "GET", BASE, headers={"range": f"bytes={len(BODY)}-"})
    assert problem(answer) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(BODY)}"


@pytest.mark.parametrize("header", ["bytes=0-1,4-5", "lines=1-2", "bytes=-", "bytes=5-2", ""])
def test_a_range_that_is_not_understood_gives_the_whole_file(header: str):
    assert byte_range(header, 100) is None


def test_an_empty_file_has_no_range():
    with pytest.raises(BadRange):
        byte_range("bytes=0-", 0)


def test_a_file_that_is_already_there_is_not_sent_again(world: World):
    etag = world.call("viewer", "HEAD", BASE).headers["etag"]
    answer = world.call("viewer", "GET", BASE, headers={"if-none-match": etag})
    assert (answer.status_code, answer.content) == (304, b"")


def test_what_is_missing_is_named_in_the_hubs_words(world: World):
    commit = world.schema["connector"].commit
    file = world.call("viewer", "GET", "//digits/base-connector/resolve/main/none.bin")
    assert (file.headers["x-error-code"], file.headers["x-repo-commit"]) == ("EntryNotFound", commit)
    revision = world.call("viewer", "GET", "//digits/base-connector/resolve/round-9/model.safetensors")
    assert revision.headers["x-error-code"] == "RevisionNotFound"
    repo = world.call("viewer", "GET", "//digits/none/resolve/main/model.safetensors")
    assert repo.headers["x-error-code"] == "RepoNotFound"
    assert {file.status_code, revision.status_code, repo.status_code} == {404}


def test_a_blob_that_the_store_lost_is_said_and_not_a_crash(world: World):
    value = digest_of(BODY).removeprefix("sha256:")
    (world.app.state.registry.settings.state_dir / "store/blobs/sha256" / value[:2] / value).unlink()
    answer = world.call("viewer", "GET", BASE)
    assert answer.status_code == 500
    assert "backup" in answer.json()["hint"]


def many_versions(world: World, count: int) -> None:
    """Straight into the journal: a publication of many tasks."""
    registry = world.app.state.registry
    base = world.schema["connector"]
    manifests = [
        Manifest(
            repo=f"digits/task-t{number}-connector",
            kind="connector",
            run="digits",
            round=1,
            task=f"t{number}",
            program="stage-1",
            model="digits-tiny",
            model_digest=digest_of(b"m"),
            files=base.files,
        )
        for number in range(count)
    ]
    request = world.publication(*manifests)
    from pilot_proto.canonical import canonical_bytes

    world.grant()
    fact = Published(
        uid=UID,
        round=1,
        publication=canonical_bytes(request.publication).decode(),
        manifests=tuple(canonical_bytes(manifest).decode() for manifest in manifests),
        blobs=(),
    )
    with registry.database.writing() as session:
        registry.journal.append(session, fact, "aggregator")
    registry.journal.drain()


def test_pages_of_hundreds_of_versions_hold_each_version_once_in_one_order(world: World):
    many_versions(world, 450)
    whole, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        params = {"run": "digits", "kind": "connector", "limit": 97} | ({"cursor": cursor} if cursor else {})
        page = world.call("viewer", "GET", "/adapters", params=params).json()
        whole += [(item["repo"], item["commit"]) for item in page["items"]]
        cursor, pages = page["next"], pages + 1
    assert pages == 5
    assert len(whole) == len(set(whole)) == 451
    longer = world.call("viewer", "GET", "/adapters?limit=200").json()["items"]
    assert [(item["repo"], item["commit"]) for item in longer] == whole[:200]


@pytest.mark.parametrize("cursor", ["x", "WzFd" * 60, "WyJhIl0", "Wy0xXQ", "e30", "WzEsMl0"])
def test_a_cursor_that_is_not_ours_is_refused(world: World, cursor: str):
    answer = world.call("viewer", "GET", "/adapters", params={"cursor": cursor})
    assert problem(answer) == (422, "invalid")


def test_a_page_has_at_most_200_entries(world: World):
    assert problem(world.call("viewer", "GET", "/adapters?limit=201")) == (422, "invalid")


def test_a_listing_is_narrowed_by_every_filter(world: World):
    world.answer("vqa-1", 1)
    many_versions(world, 3)

    def found(query: str) -> set[str]:
        return {i["repo"].split("/")[1] for i in world.call("admin", "GET", f"/adapters?{query}").json()["items"]}

    tasks = {"task-t0-connector", "task-t1-connector", "task-t2-connector"}
    updates = {"client-vqa-1-update", "client-base-update"}
    assert found("kind=update") == updates
    assert found("client=vqa-1") == {"client-vqa-1-update"}
    assert found("task=t1") == {"task-t1-connector"}
    assert found("round=1") == tasks | {"client-vqa-1-update"}
    assert found("q=t2-conn") == {"task-t2-connector"}
    assert found("q=%25") == set(), "a wildcard is a character like any other"
    assert found(f"q={world.schema['connector'].commit[:8]}") == {"base-connector"}
    assert found("run=other") == set()
    assert found("state=deleted") == set()
    assert found("state=live") == tasks | updates | {"base-connector"}
    assert problem(world.call("admin", "GET", "/adapters?state=odd")) == (422, "invalid")


def test_a_comparison_gives_the_distances_of_float64(world: World):
    world.answer()
    world.seal()
    assert world.publish(world.publication(world.output("task-vqa-connector", seed=50))).status_code == 201
    params = {"a": "digits/base-connector@main", "b": "digits/task-vqa-connector@main"}
    report = world.call("viewer", "GET", "/compare", params=params).json()
    a = {name: array.astype("float32").astype("float64") for name, array in tensors(0).items()}
    b = {name: array.astype("float32").astype("float64") for name, array in tensors(50).items()}
    rows = {row["name"]: row for row in report["tensors"]}
    for name in a:
        distance = np.linalg.norm(b[name] - a[name])
        cosine = np.sum(a[name] * b[name]) / np.linalg.norm(a[name]) / np.linalg.norm(b[name])
        assert rows[name]["l2"] == pytest.approx(distance, rel=1e-12)
        assert rows[name]["cosine"] == pytest.approx(cosine, rel=1e-12)
        assert rows[name]["relative"] == pytest.approx(distance / np.linalg.norm(a[name]), rel=1e-12)
        assert rows[name]["shape"] == list(a[name].shape)
    assert report["l2"] == pytest.approx(sum(np.sum((b[name] - a[name]) ** 2) for name in a) ** 0.5, rel=1e-12)
    assert [row["l2"] for row in report["tensors"]] == sorted((row["l2"] for row in rows.values()), reverse=True)


def test_a_comparison_lists_what_only_one_side_has(world: World):
    other = safetensors({"a.weight": np.ones((2, 2)), "new": np.ones(3)})
    world.put(other, client=None)
    world.grant()
    world.seal()
    files = {"model.safetensors": file_ref(other)}
    output = world.output("task-vqa-connector").model_copy(update={"files": files})
    assert world.publish(world.publication(output)).status_code == 201
    params = {"a": "digits/base-connector@main", "b": "digits/task-vqa-connector@main"}
    report = world.call("viewer", "GET", "/compare", params=params).json()
    assert report["tensors"] == []
    assert report["only_in_a"] == ["model.safetensors:b.bias"]
    assert report["only_in_b"] == ["model.safetensors:new"]
    assert report["different_shape"] == ["model.safetensors:a.weight"]


@pytest.mark.parametrize("reference", ["base", "digits/base-connector", "a/b/c@main", "@", "digits/base-connector@"])
def test_a_reference_that_is_none_is_refused(world: World, reference: str):
    params = {"a": reference, "b": "digits/base-connector@main"}
    assert problem(world.call("viewer", "GET", "/compare", params=params)) == (422, "invalid")


def test_rejections_are_listed_newest_first_with_their_place(world: World):
    world.grant("vqa-1")
    for body in (b"x", b"12345678"):
        world.put(body)
    items = world.call("operator", "GET", "/rejections?run=digits").json()["items"]
    assert [item["sequence"] for item in items] == sorted((item["sequence"] for item in items), reverse=True)
    assert {(item["run"], item["round"], item["client"], item["code"]) for item in items} == {
        ("digits", 1, "vqa-1", "corrupt")
    }
    first = world.call("operator", "GET", "/rejections?limit=1").json()
    second = world.call("operator", "GET", "/rejections", params={"limit": 1, "cursor": first["next"]}).json()
    assert first["items"] + second["items"] == items
    assert world.call("operator", "GET", "/rejections?run=other").json()["items"] == []


def test_the_audit_says_who_did_what(world: World):
    world.answer()
    entries = world.call("admin", "GET", "/audit?limit=2").json()
    assert [(entry["by"], entry["action"], entry["object"]) for entry in entries["items"]] == [
        ("client:vqa-1", "accepted", "digits/client-vqa-1-update"),
        ("aggregator", "granted", "digits/1/vqa-1"),
    ]
    older = world.call("admin", "GET", "/audit", params={"cursor": entries["next"], "limit": 200}).json()
    assert older["items"][-1]["sequence"] == 1
    assert older["next"] is None


def test_uploads_are_counted_by_kind_and_verdict(world: World):
    world.grant()
    world.put(b"x")
    world.put(safetensors(tensors(1)))
    text = world.call("", "GET", "//metrics").text
    assert 'pilot_uploads_total{code="corrupt",kind="connector",verdict="refused"} 1.0' in text
    assert 'pilot_uploads_total{code="",kind="connector",verdict="admitted"} 1.0' in text
    assert f"pilot_upload_bytes_total {float(len(safetensors(tensors(1))))}" in text
