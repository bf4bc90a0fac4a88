"""Aliases that people move, with a condition, and versions that they keep."""

import pytest
from databases import every_database  # noqa: F401
from unit.registry.world import World, problem


@pytest.fixture
def two(world: World) -> tuple[World, str, list[str]]:
    """A repository with two versions."""
    commits = []
    for round_ in (1, 2):
        world.grant(round_=round_)
        world.seal(round_)
        request = world.publication(world.output("task-vqa-connector", round_, seed=round_), round_=round_)
        assert world.publish(request).status_code == 201
        commits += request.publication.outputs.values()
    return world, "digits/task-vqa-connector", commits


def move(world: World, repo: str, alias: str, commit: str, who: str = "operator", **headers: str):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return world.call(who, "PUT", f"/adapters/{repo}/aliases/{alias}", json={"commit": commit}, headers=sent)


def test_an_alias_is_created_moved_and_found(two):
    world, repo, (first, second) = two
    made = move(world, repo, "best", first, if_none_match="*")
    assert made.json()["commit"] == first
    assert made.headers["etag"] == f'"{first}"'
    assert move(world, repo, "best", second, if_match=made.headers["etag"]).status_code == 200
    assert world.call("viewer", "GET", f"/adapters/{repo}/versions/best").json()["commit"] == second
    listed = world.call("viewer", "GET", f"/adapters/{repo}/aliases").json()["items"]
    assert [(item["alias"], item["commit"]) for item in listed] == [
        ("best", second),
        ("main", second),
        ("round-1", first),
        ("round-2", second),
    ]
    assert listed[0]["moved_by"] == "operator"


def test_without_a_condition_nothing_moves(two):
    world, repo, (first, _) = two
    assert problem(move(world, repo, "best", first)) == (428, "precondition_required")


def test_a_stale_condition_is_refused(two):
    world, repo, (first, second) = two
    move(world, repo, "best", first, if_none_match="*")
    assert problem(move(world, repo, "best", second, if_match=f'"{second}"')) == (412, "precondition_failed")
    assert problem(move(world, repo, "best", second, if_none_match="*")) == (412, "precondition_failed")
    assert problem(move(world, repo, "none", second, if_match=f'"{second}"')) == (412, "precondition_failed")


@pytest.mark.parametrize("alias", ["main", "round-1", "round-99"])
def test_aliases_of_the_publish_transaction_cannot_be_moved(two, alias: str):
    world, repo, (first, second) = two
    assert problem(move(world, repo, alias, first, if_match=f'"{second}"')) == (409, "reserved_alias")


@pytest.mark.parametrize("alias", ["a" * 40, "Best", "a--b", "x" * 41])
def test_an_alias_is_a_name_and_no_commit(two, alias: str):
    world, repo, (first, _) = two
    assert problem(move(world, repo, alias, first, if_none_match="*")) == (422, "invalid")


def test_an_alias_points_to_a_version_of_its_own_repository(two):
    world, repo, _ = two
    base = world.schema["connector"].commit
    assert problem(move(world, repo, "best", base, if_none_match="*")) == (404, "not_found")


def test_viewers_move_nothing(two):
    world, repo, (first, _) = two
    assert problem(move(world, repo, "best", first, who="viewer", if_none_match="*")) == (403, "forbidden")


def test_a_release_shares_the_bytes_and_names_its_source(two):
    world, repo, (first, _) = two
    made = world.call("operator", "POST", f"/adapters/{repo}/versions/round-1/release", json={"name": "good"})
    assert made.status_code == 201
    view = made.json()
    assert (view["repo"], view["aliases"]) == ("released/good", ["main"])
    assert view["parents"] == [{"repo": repo, "commit": first, "coefficient": None}]
    again = world.call("operator", "POST", f"/adapters/{repo}/versions/round-1/release", json={"name": "good"})
    assert (again.status_code, again.json()["commit"]) == (200, view["commit"])
    kept = world.call("viewer", "GET", "//released/good/resolve/main/model.safetensors")
    source = world.call("viewer", "GET", f"//{repo}/resolve/round-1/model.safetensors")
    assert kept.content == source.content


def test_a_raw_update_cannot_be_released(world: World):
    commit = world.answer()
    path = f"/adapters/digits/client-vqa-1-update/versions/{commit}/release"
    assert problem(world.call("admin", "POST", path, json={"name": "raw"})) == (409, "not_releasable")
