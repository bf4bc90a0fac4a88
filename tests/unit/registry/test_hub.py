"""The Hub's read protocol: listings, revisions, and errors in the Hub's words."""

import pytest
from pilot_proto.canonical import digest_of
from pilot_registry.hub import tree
from unit.registry.published import next_round, one_text_adapter
from unit.registry.world import World, file_ref, problem

REPO = "digits/client-vqa-1-text"
FILES = ["README.md", "adapter_config.json", "adapter_model.safetensors"]


def model(world: World, path: str, who: str = "viewer", **options):
    return world.call(who, "GET", f"//api/models/{path}", **options)


def test_a_models_document_names_its_commit_its_files_and_its_tags(world: World):
    commit = one_text_adapter(world)
    for path in (REPO, f"{REPO}/revision/main", f"{REPO}/revision/round-1", f"{REPO}/revision/{commit}"):
        answer = model(world, path)
        found = answer.json()
        assert (answer.status_code, found["sha"]) == (200, commit)
        assert (found["id"], found["private"], found["gated"]) == (REPO, False, False)
        assert found["siblings"] == [{"rfilename": name} for name in FILES]
        assert {"pilot", "text", "lora", "task:vqa", "base_model:digits-tiny"} <= set(found["tags"])
        assert found["library_name"] == "peft"
        assert found["lastModified"].endswith("Z")


def test_sizes_and_digests_come_on_request_and_are_those_of_the_bytes(world: World):
    one_text_adapter(world)
    for sibling in model(world, f"{REPO}?blobs=true").json()["siblings"]:
        body = world.call("viewer", "GET", f"//{REPO}/resolve/main/{sibling['rfilename']}").content
        digest = digest_of(body).removeprefix("sha256:")
        assert (sibling["size"], sibling["lfs"]["sha256"], sibling["lfs"]["size"]) == (len(body), digest, len(body))


def test_a_tree_lists_every_file_with_the_digest_that_resolve_gives_as_its_etag(world: World):
    commit = one_text_adapter(world)
    entries = model(world, f"{REPO}/tree/{commit}", params={"recursive": True}).json()
    assert [entry["path"] for entry in entries] == FILES
    for entry in entries:
        head = world.call("viewer", "HEAD", f"//{REPO}/resolve/{commit}/{entry['path']}")
        assert entry["type"] == "file"
        assert head.headers["etag"] == f'"{entry["lfs"]["oid"]}"'
        assert head.headers["content-length"] == str(entry["size"])
        assert head.headers["x-repo-commit"] == commit
        assert not [name for name in head.headers if name.startswith("x-xet")]


def test_a_tree_can_be_expanded_and_paged(world: World):
    commit = one_text_adapter(world)
    path = f"{REPO}/tree/main"
    (first, *_) = model(world, path, params={"expand": True}).json()
    assert first["lastCommit"]["id"] == commit
    assert "digits, round 1, stage-1" in first["lastCommit"]["title"]
    answer = model(world, path, params={"limit": 2})
    found = [entry["path"] for entry in answer.json()]
    link = answer.links["next"]["url"]
    assert link.startswith("http://registry/api/models/")
    answer = world.call("viewer", "GET", "/" + link.removeprefix("http://registry"))
    assert found + [entry["path"] for entry in answer.json()] == FILES
    assert "link" not in answer.headers


def test_the_folders_of_an_update_are_its_owners_to_list(world: World):
    commit = world.answer("vqa-1")
    repo = "digits/client-vqa-1-update"
    for revision in ("main", "round-1", commit):
        flat = model(world, f"{repo}/tree/{revision}", "client:vqa-1").json()
        assert [(entry["type"], entry["path"]) for entry in flat] == [
            ("directory", "connector"),
            ("file", "update.json"),
        ]
        (inner,) = model(world, f"{repo}/tree/{revision}/connector", "client:vqa-1").json()
        assert inner["path"] == "connector/model.safetensors"
        assert model(world, f"{repo}/revision/{revision}", "client:vqa-1").json()["private"] is True
    assert model(world, repo, "client:vqa-2").headers["x-error-code"] == "RepoNotFound"
    assert model(world, f"{repo}/revision/round-2", "client:vqa-1").headers["x-error-code"] == "RevisionNotFound"


def test_main_of_an_update_is_the_newest(world: World):
    world.answer("vqa-1")
    world.seal()
    newest = world.answer("vqa-1", 2, seed=3)
    assert model(world, "digits/client-vqa-1-update", "client:vqa-1").json()["sha"] == newest


def test_a_retired_update_is_still_listed_and_says_that_its_bytes_are_gone(world: World):
    world.answer("vqa-1")
    world.seal()
    world.call("aggregator", "POST", f"/rounds/{world.uid}/1/retire")
    repo = "digits/client-vqa-1-update"
    assert model(world, repo, "client:vqa-1").status_code == 200
    assert len(model(world, f"{repo}/tree/main?recursive=true", "client:vqa-1").json()) == 3
    answer = world.call("client:vqa-1", "GET", f"//{repo}/resolve/main/update.json")
    assert problem(answer) == (410, "deleted")
    assert "was deleted at" in answer.headers["x-error-message"]


@pytest.mark.parametrize("path", ["revision/{}", "tree/{}"])
@pytest.mark.parametrize("revision", ["round-9", "refs/pr/1", "0" * 40, "abc1234", "best"])
def test_a_wrong_revision_is_named_with_the_rule_and_those_that_there_are(world: World, path: str, revision: str):
    one_text_adapter(world)
    answer = model(world, f"{REPO}/{path.format(revision.replace('/', '%2F'))}")
    assert problem(answer) == (404, "not_found")
    assert answer.headers["x-error-code"] == "RevisionNotFound"
    named = revision if path.startswith("revision") else revision.partition("/")[0]
    assert f"'{named}'" in answer.json()["detail"]
    assert answer.json()["hint"].endswith("names here: main, round-1")
    assert answer.json()["hint"] in answer.headers["x-error-message"]


def test_a_hint_names_only_what_the_caller_may_see(world: World):
    world.answer("vqa-1")
    world.seal()
    shared = world.output("task-vqa-connector", seed=50)
    own = world.output("base-connector", seed=51, contributors=("vqa-1",))
    assert world.publish(world.publication(shared, own)).status_code == 201
    answer = model(world, "digits/base-connector/revision/round-1")
    assert answer.headers["x-error-code"] == "RevisionNotFound"
    assert answer.json()["hint"].endswith("names here: round-0")


def test_a_missing_folder_is_an_entry_and_a_missing_repository_is_one(world: World):
    commit = one_text_adapter(world)
    answer = model(world, f"{REPO}/tree/main/none")
    assert (answer.headers["x-error-code"], answer.headers["x-repo-commit"]) == ("EntryNotFound", commit)
    for path in ("digits/none", "digits/none/tree/main", "digits/none/revision/main", "none"):
        answer = model(world, path)
        assert (answer.status_code, answer.headers["x-error-code"]) == (404, "RepoNotFound")


def test_what_clients_ask_by_habit_and_we_do_not_have_is_404(world: World):
    for path in ("//api/agent-harnesses", "//gpt2/resolve/main/config.json", "//api/datasets/a/b"):
        answer = world.call("", "GET", path)
        assert answer.status_code == 404
        assert answer.headers.get("x-error-code") == (None if "harness" in path else "RepoNotFound")


def test_without_a_key_a_repository_is_not_found_for_clients_of_the_hub_and_our_problem_says_why(world: World):
    for path in (f"//api/models/{REPO}", f"//{REPO}/resolve/main/README.md"):
        answer = world.call("", "GET", path)
        assert problem(answer) == (401, "unauthenticated")
        assert answer.headers["x-error-code"] == "RepoNotFound"
        assert "no valid key" in answer.headers["x-error-message"]
    assert "x-error-code" not in world.call("", "GET", "/adapters").headers


def test_an_error_message_in_a_header_is_one_line_of_ascii(world: World):
    answer = world.call("viewer", "GET", "//digits/%0d%0aX-Evil:%201%C3%A9/resolve/main/f")
    assert "x-evil" not in answer.headers
    assert answer.headers["x-error-message"].isascii()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_first_byte_range_tells_a_client_that_never_sends_head_all_it_needs(world: World, method: str):
    commit = one_text_adapter(world)
    whole = world.call("viewer", "GET", f"//{REPO}/resolve/main/README.md").content
    answer = world.call("viewer", method, f"//{REPO}/resolve/main/README.md", headers={"range": "bytes=0-0"})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes 0-0/{len(whole)}"
    assert answer.headers["x-repo-commit"] == commit
    assert answer.content == (whole[:1] if method == "GET" else b"")


def test_nothing_is_compressed_so_that_lengths_and_ranges_are_those_of_the_file(world: World):
    one_text_adapter(world)
    answer = world.call("viewer", "GET", f"//{REPO}/resolve/main/README.md", headers={"accept-encoding": "gzip, br"})
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-length"] == str(len(answer.content))


def test_folders_and_pages_of_any_tree_hold_every_file_once():
    files = {path: file_ref(path.encode()) for path in ("a/b/c", "a/b/d", "a/e", "f", "ab/g")}
    assert [e.path for e in tree.entries(files, "", recursive=False)] == ["a", "ab", "f"]
    assert [e.path for e in tree.entries(files, "a", recursive=False)] == ["a/b", "a/e"]
    whole = tree.entries(files, "", recursive=True)
    assert [e.path for e in whole] == ["a", "a/b", "a/b/c", "a/b/d", "a/e", "ab", "ab/g", "f"]
    assert tree.entries(files, "f", recursive=True) is None
    paged, after = [], ""
    while after is not None:
        shown, after = tree.page(whole, after, 3)
        paged += shown
    assert paged == whole
    assert len({e.oid for e in whole if e.type == "directory"}) == 3


def test_a_later_round_changes_the_card_and_nothing_else(world: World):
    commit = one_text_adapter(world)

    def etags():
        return {e["path"]: e["lfs"]["oid"] for e in model(world, f"{REPO}/tree/{commit}").json()}

    before = etags()
    from unit.registry.published import mean

    next_round(world, mean("merged", 1, 0.625))
    after = etags()
    assert {path for path in after if after[path] != before[path]} == {"README.md"}
    body = world.call("viewer", "GET", f"//{REPO}/resolve/{commit}/README.md")
    assert digest_of(body.content) == f"sha256:{after['README.md']}"
