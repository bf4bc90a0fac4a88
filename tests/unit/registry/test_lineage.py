"""What was made of what: of a run, of one version, and where two versions meet."""

import pytest
from databases import every_database  # noqa: F401
from pilot_http.auth import Principal
from pilot_registry import family, repository_history
from pilot_registry.catalog import find
from unit.registry.merged import APART, WEIGHTS, merged
from unit.registry.world import World

ADMIN, VIEWER = Principal("admin"), Principal("viewer")


def lineage(world: World, who: str = "admin", **query: object) -> dict:
    found: dict = world.call(who, "GET", "/lineage", params={"run": "digits", **query}).json()
    return found


def ends(view: dict) -> set[tuple[str, str]]:
    return {(edge["child"]["repo"], edge["parent"]["repo"]) for edge in view["edges"]}


def rounds(view: dict) -> set[int]:
    return {node["round"] for node in view["nodes"]}


def test_edges_tell_weight_and_distance_of_what_was_merged(world: World):
    made = merged(world)
    edges = {
        (e["child"]["repo"], e["child"]["commit"], e["parent"]["repo"]): (e["coefficient"], e["distance"])
        for e in lineage(world)["edges"]
    }
    for number in (1, 2):
        child = ("digits/client-vqa-1-connector", made.commit("client-vqa-1-connector", number))
        weights = WEIGHTS["vqa-1"]
        assert edges[*child, "digits/client-vqa-1-update"] == (weights[0], 0.0)
        assert edges[*child, "digits/client-vqa-2-update"] == (weights[1], APART * number)
    began = ("digits/client-vqa-1-update", made.commit("client-vqa-1-update", 2), "digits/client-vqa-1-connector")
    assert edges[began] == (None, None)


def test_a_round_whose_plan_is_lost_has_weights_without_distances(world: World):
    merged(world, rounds=1)
    store = world.app.state.registry.settings.state_dir / "store" / "blobs"
    plan = world.call("aggregator", "GET", f"/rounds/{world.uid}/1").json()["publication"]["plan"].split(":")[1]
    (store / "sha256" / plan[:2] / plan).unlink()
    told = {(e["coefficient"], e["distance"]) for e in lineage(world)["edges"] if e["coefficient"] is not None}
    assert (0.75, None) in told
    assert all(distance is None for _, distance in told)


def test_a_part_is_what_a_client_made_got_and_touches(world: World):
    merged(world)
    found = lineage(world, client="vqa-2", round=2)
    assert ends(found) == {
        ("digits/client-vqa-1-connector", "digits/client-vqa-2-update"),
        ("digits/client-vqa-2-connector", "digits/client-vqa-1-update"),
        ("digits/client-vqa-2-connector", "digits/client-vqa-2-update"),
        ("digits/client-vqa-2-update", "digits/client-vqa-2-connector"),
    }
    assert lineage(world, client="nobody") == {"run": "digits", "nodes": [], "edges": []}


def test_a_part_is_one_kind_on_its_way_through_the_updates(world: World):
    merged(world)
    assert ends(lineage(world, kind="connector")) == ends(lineage(world))
    assert lineage(world, kind="text")["edges"] == []


def test_a_part_is_what_a_round_made(world: World):
    merged(world)
    first = lineage(world, round=1)
    assert rounds(first) == {0, 1}
    assert {e["coefficient"] for e in first["edges"]} == {0.75, 0.25, 0.4, 0.6, None}


def test_a_viewer_sees_merges_and_of_updates_the_names(world: World):
    made = merged(world, solo=True)
    found = lineage(world, "viewer")
    assert {node["repo"] for node in found["nodes"] if node["visible"]} == {
        "digits/base-connector",
        "digits/client-vqa-1-connector",
    }
    hidden = [node for node in found["nodes"] if not node["visible"]]
    assert {node["repo"] for node in hidden} == {
        "digits/client-vqa-1-update",
        "digits/client-vqa-2-update",
    }
    assert all((node["kind"], node["round"], node["client"]) == (None, None, None) for node in hidden)
    assert made.commit("client-vqa-2-connector", 1) not in str(found), "one contributor: as private as its update"


def relatives(world: World, who: Principal, repo: str, revision: str, most: int = 50):
    with world.app.state.registry.database.reading() as session:
        version = find(session, who, f"digits/{repo}", revision)
        return family.parents(session, who, version), *family.children(session, who, version, most)


def test_a_version_has_parents_with_weights_and_children_newest_first(world: World):
    merged(world)
    above, below, count = relatives(world, ADMIN, "client-vqa-1-connector", "round-1")
    assert [(r.node.repo, r.coefficient) for r in above] == [
        ("digits/client-vqa-1-update", 0.75),
        ("digits/client-vqa-2-update", 0.25),
    ]
    assert [(r.node.repo, r.node.round) for r in below] == [("digits/client-vqa-1-update", 2)]
    assert count == 1
    _, below, count = relatives(world, ADMIN, "base-connector", "main", most=1)
    assert ([r.node.repo for r in below], count) == (["digits/client-vqa-2-update"], 2)


def test_a_viewer_sees_no_child_that_is_hidden_and_of_parents_the_names(world: World):
    merged(world)
    above, below, count = relatives(world, VIEWER, "client-vqa-1-connector", "round-1")
    assert [r.node.visible for r in above] == [False, False]
    assert (below, count) == ([], 0)


def meeting(world: World, who: Principal, a, b):
    with world.app.state.registry.database.reading() as session:
        return family.meet(session, who, *((f"digits/{repo}", commit) for repo, commit in (a, b)))


def test_two_versions_meet_in_the_updates_that_both_hold(world: World):
    made = merged(world)
    a, b = (("client-vqa-1-connector", made.commit("client-vqa-1-connector", 2)),) * 2
    assert [node.commit for node in meeting(world, ADMIN, a, b).nodes] == [a[1]], "a version meets itself"
    b = ("client-vqa-2-connector", made.commit("client-vqa-2-connector", 2))
    shared = meeting(world, VIEWER, a, b)
    assert [node.repo for node in shared.nodes] == ["digits/client-vqa-1-update", "digits/client-vqa-2-update"]
    assert not any(node.visible for node in shared.nodes)
    assert shared.steps == 1


def test_a_later_round_meets_an_earlier_one_in_that_one_itself(world: World):
    made = merged(world)
    a, b = ((repo, made.commit(repo, n)) for repo, n in (("client-vqa-1-connector", 1), ("client-vqa-1-connector", 2)))
    found = meeting(world, ADMIN, a, b)
    assert ([node.commit for node in found.nodes], found.steps) == ([a[1]], 2)
    assert meeting(world, VIEWER, a, b).nodes == (), "the way leads through an update that a viewer may not see"


def test_what_has_nothing_in_common_meets_nowhere(world: World):
    made = merged(world, rounds=1)
    alone = ("none", "0" * 40)
    found = meeting(world, ADMIN, ("client-vqa-1-connector", made.commit("client-vqa-1-connector", 1)), alone)
    assert (found.nodes, found.searched) == ((), True)


def test_a_long_lineage_is_not_searched_to_its_end(world: World, monkeypatch):
    made = merged(world)
    monkeypatch.setattr(family, "MOST_SEEN", 2)
    key = ("client-vqa-1-connector", made.commit("client-vqa-1-connector", 2))
    assert not meeting(world, ADMIN, key, ("none", "0" * 40)).searched


def test_alias_moves_are_told_to_who_may_see_where_they_went(world: World):
    made = merged(world, solo=True)
    registry = world.app.state.registry
    repo = "digits/client-vqa-1-connector"
    first, second = (made.commit("client-vqa-1-connector", number) for number in (1, 2))
    path = f"/adapters/{repo}/aliases/best"
    world.call("operator", "PUT", path, json={"commit": first}, headers={"if-none-match": "*"})
    world.call("operator", "PUT", path, json={"commit": second}, headers={"if-match": first})
    moves = repository_history.alias_moves(registry, VIEWER, repo)
    assert [(m.alias, m.commit, m.moved_by) for m in moves] == [
        ("best", second, "operator"),
        ("best", first, "operator"),
    ]
    private = "digits/client-vqa-2-connector"
    commit = made.commit("client-vqa-2-connector", 1)
    moved = world.call(
        "admin", "PUT", f"/adapters/{private}/aliases/mine", json={"commit": commit}, headers={"if-none-match": "*"}
    )
    assert moved.status_code == 200
    assert repository_history.alias_moves(registry, VIEWER, private) == ()
    assert len(repository_history.alias_moves(registry, ADMIN, private)) == 1


@pytest.mark.parametrize("limit", [1, 200])
def test_the_audit_of_a_repository_holds_its_updates_aliases_and_rounds(world: World, limit: int):
    made = merged(world)
    registry = world.app.state.registry
    repo = "digits/client-vqa-1-connector"
    path = f"/adapters/{repo}/aliases/best"
    world.call(
        "operator",
        "PUT",
        path,
        json={"commit": made.commit("client-vqa-1-connector", 1)},
        headers={"if-none-match": "*"},
    )
    found, cursor = [], None
    while True:
        page = repository_history.audit(registry, repo, limit, cursor)
        found += [(entry.action, entry.object) for entry in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert found == [("alias-moved", f"{repo}@best"), ("published", "digits/2"), ("published", "digits/1")]
    updates = repository_history.audit(registry, "digits/client-vqa-1-update", 200, None)
    assert [entry.action for entry in updates.items].count("accepted") == 2
