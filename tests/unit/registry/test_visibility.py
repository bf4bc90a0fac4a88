"""Who sees what: the whole matrix of principals and versions, and the routes each may use."""

import pytest
from databases import every_database  # noqa: F401
from pilot_http.auth import PolicyTable, unlisted
from pilot_proto.canonical import canonical_bytes, commit_of
from pilot_registry.policy import POLICY
from unit.registry.world import UID, World, problem

EVERYBODY = ("viewer", "operator", "admin", "aggregator", "client:vqa-1", "client:vqa-2")


@pytest.fixture
def published(world: World):
    """Round 1 is published: a merged output, and two outputs of one contributor each. vqa-1 is handed two of them."""
    commits = {"update": world.answer("vqa-1", seed=1)}
    world.answer("vqa-2", seed=2)
    world.seal()
    merged = world.output("task-vqa-connector", seed=50)
    mine = world.output("client-vqa-1-connector", seed=51, contributors=("vqa-1",), client="vqa-1")
    theirs = world.output("client-vqa-2-connector", seed=52, contributors=("vqa-2",), client="vqa-2")
    other = world.output("client-caption-1-connector", seed=53, contributors=("vqa-2",), client="caption-1")
    assert world.publish(world.publication(merged, mine, theirs, other)).status_code == 201
    for name, manifest in {"merged": merged, "mine": mine, "theirs": theirs, "other": other}.items():
        commits[name] = commit_of(canonical_bytes(manifest))
    commits["base"] = world.schema["connector"].commit
    world.grant("vqa-1", 2, readable=(commits["merged"], commits["other"], commits["base"]))
    return world, commits


REPOS = {
    "base": "digits/base-connector",
    "update": "digits/client-vqa-1-update",
    "merged": "digits/task-vqa-connector",
    "mine": "digits/client-vqa-1-connector",
    "theirs": "digits/client-vqa-2-connector",
    "other": "digits/client-caption-1-connector",
}
PUBLIC = {"base", "merged"}
SEEN = {
    "viewer": PUBLIC,
    "operator": PUBLIC,
    "admin": set(REPOS),
    "aggregator": set(REPOS),
    "client:vqa-1": {"base", "update", "merged", "mine", "other"},
    "client:vqa-2": {"theirs", "other"},
}
READ = {**SEEN, "admin": PUBLIC}


@pytest.mark.parametrize("who", EVERYBODY)
def test_versions_files_and_listings_follow_one_matrix(published, who: str):
    world, commits = published
    listed = world.call(who, "GET", "/adapters?run=digits&limit=200").json()["items"]
    seen = {
        name for name, repo in REPOS.items() if any((i["repo"], i["commit"]) == (repo, commits[name]) for i in listed)
    }
    assert seen == SEEN[who]
    for name, repo in REPOS.items():
        path = "connector/model.safetensors" if name == "update" else "model.safetensors"
        version = world.call(who, "GET", f"/adapters/{repo}/versions/{commits[name]}")
        assert version.status_code == (200 if name in SEEN[who] else 404), (who, name)
        file = world.call(who, "GET", f"//{repo}/resolve/{commits[name]}/{path}")
        allowed = 200 if name in READ[who] else 403 if name in SEEN[who] else 404
        assert file.status_code == allowed, (who, name)


@pytest.mark.parametrize("who", ["client:vqa-2", "viewer"])
def test_what_may_not_be_seen_answers_exactly_like_what_does_not_exist(published, who: str):
    world, commits = published
    hidden = world.call(who, "GET", f"//digits/client-vqa-1-update/resolve/{commits['update']}/update.json")
    absent = world.call(who, "GET", f"//digits/client-vqa-9-update/resolve/{commits['update']}/update.json")
    assert hidden.status_code == absent.status_code == 404
    assert hidden.headers["x-error-code"] == absent.headers["x-error-code"] == "RepoNotFound"
    same = hidden.json()["detail"].replace("vqa-1", "vqa-9")
    assert same == absent.json()["detail"]


def test_a_raw_update_is_not_readable_even_when_a_grant_names_it(published):
    world, commits = published
    world.grant("vqa-2", 2, readable=(commits["update"],))
    path = f"//digits/client-vqa-1-update/resolve/{commits['update']}/update.json"
    assert problem(world.call("client:vqa-2", "GET", path)) == (404, "not_found")


def test_a_comparison_needs_the_right_to_read_both_sides(published):
    world, commits = published
    private = f"digits/client-vqa-2-connector@{commits['theirs']}"
    for a, b in ((private, "digits/base-connector@main"), ("digits/base-connector@main", private)):
        assert problem(world.call("viewer", "GET", "/compare", params={"a": a, "b": b})) == (404, "not_found")
        assert problem(world.call("admin", "GET", "/compare", params={"a": a, "b": b})) == (403, "forbidden")


def test_aliases_of_hidden_versions_are_not_listed(published):
    world, _ = published
    path = "/adapters/digits/client-vqa-2-connector/aliases"
    assert world.call("viewer", "GET", path).json()["items"] == []
    assert len(world.call("aggregator", "GET", path).json()["items"]) == 2


def test_lineage_shows_no_hidden_version_and_marks_hidden_parents(published):
    world, commits = published
    nodes = world.call("viewer", "GET", "/lineage?run=digits").json()["nodes"]
    assert {node["commit"] for node in nodes if node["visible"]} == {commits["base"], commits["merged"]}


def test_an_operator_cannot_release_what_is_private(published):
    world, _ = published
    path = "/adapters/digits/client-vqa-2-connector/versions/main/release"
    assert problem(world.call("operator", "POST", path, json={"name": "leak"})) == (404, "not_found")


def test_every_route_is_in_the_policy_table(world: World):
    assert unlisted(world.app, world.app.state.policy) == set()
    assert unlisted(world.app, {}) >= set(POLICY), "the table names routes that do not exist"


FILLED = {"uid": UID, "n": "1", "client": "vqa-2", "ns": "digits", "repo": "client-vqa-2-update", "rev": "main"}


def _path(template: str) -> str:
    path = template.replace("{path:path}", "update.json").replace("{rev:path}", "{rev}")
    for name, value in {**FILLED, "alias": "best", "run": "digits", "name": "style.css"}.items():
        path = path.replace(f"{{{name}}}", value)
    return path


CLOSED = [place for place, allowed in POLICY.items() if "public" not in allowed]


def test_the_public_routes_are_those_of_signing_in():
    assert {template for _, template in POLICY.keys() - set(CLOSED)} == {"/", "/ui/login", "/ui/static/{name}"}


def test_without_a_key_every_route_is_401_and_with_a_wrong_one_too(world: World):
    for method, template in CLOSED:
        for who in ("", "wrong"):
            answer = world.call(who, method, "/" + _path(template), headers={"Accept": "application/json"})
            assert answer.status_code == 401, (method, template)


def test_on_another_clients_paths_a_client_gets_403_or_404(published):
    world, _ = published
    for method, template in POLICY:
        path = _path(template)
        if "vqa-2" not in path and UID not in path:
            continue
        params = {"uid": UID, "round": 1, "dry_run": True} if "versions" in template and method == "POST" else {}
        body = {"json": {"name": "x"}} if method in ("PUT", "POST") else {}
        if template.endswith("/versions"):
            body = {"content": canonical_bytes(world.update_for(world.grant_for("vqa-2"), b"")[0])}
        answer = world.call("client:vqa-1", method, "/" + path, params=params, **body)
        empty_list = answer.status_code == 200 and answer.json() == {"items": []}
        assert answer.status_code in (403, 404) or empty_list, (method, template, answer.text)


def test_routes_of_persons_are_closed_to_lower_roles(world: World):
    rank = {"viewer": 1, "operator": 2, "admin": 3}
    policy: PolicyTable = POLICY
    for (method, template), allowed in policy.items():
        if "public" in allowed:
            continue
        for who in ("viewer", "operator", "aggregator", "client:vqa-1"):
            wanted = [role for role in allowed if role in rank]
            open_to = "anyone" in allowed or who in allowed or any(rank.get(who, 0) >= rank[role] for role in wanted)
            if not open_to:
                answer = world.call(who, method, "/" + _path(template), json={})
                assert answer.status_code == 403, (who, method, template)
