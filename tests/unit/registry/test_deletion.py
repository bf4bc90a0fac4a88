"""Deleting a version: what stands in its way, what stays of it, and who may."""

import pytest
from databases import every_database  # noqa: F401
from pilot_proto.canonical import digest_of
from pilot_proto.run import RunPage, StartFrom
from pilot_registry.hindrances import Handout, Standing, hindrances
from unit.registry.test_journal import drop_database, reopened
from unit.registry.test_retention import age, collect, here
from unit.registry.ui.fake_aggregator import FakeAggregator, run_view
from unit.registry.world import UID, World, problem, safetensors, tensors

REPO = "digits/task-vqa-connector"


def connect(world: World, *running) -> FakeAggregator:
    """An aggregator with these runs that have not ended."""
    made = FakeAggregator()
    made.tell("runs", RunPage(items=running))
    world.app.state.aggregator = made.connected()
    return made


@pytest.fixture
def two(world: World) -> tuple[World, list[str]]:
    """A repository with a version of round 1 and one of round 2; the run has ended."""
    connect(world)
    commits = []
    for round_ in (1, 2):
        world.grant(round_=round_)
        world.seal(round_)
        request = world.publication(world.output("task-vqa-connector", round_, seed=round_), round_=round_)
        assert world.publish(request).status_code == 201
        commits += request.publication.outputs.values()
    return world, commits


def delete(world: World, commit: str, who: str = "admin", repo: str = REPO):
    return world.call(who, "DELETE", f"/adapters/{repo}/versions/{commit}")


def hindered(world: World, commit: str, repo: str = REPO) -> str:
    """Why it cannot be deleted; the list of dependants must say the same."""
    answer = delete(world, commit, repo=repo)
    assert problem(answer) == (409, "in_use")
    listed = world.call("admin", "GET", f"/adapters/{repo}/versions/{commit}/dependants").json()["hindrances"]
    detail = answer.json()["detail"]
    assert listed
    assert all(reason in detail for reason in listed)
    return detail


def test_a_deleted_version_is_a_tombstone_and_only_the_collection_takes_its_bytes(two):
    world, (first, _) = two
    before = world.call("admin", "GET", f"/adapters/{REPO}/versions/{first}").json()
    answer = delete(world, first)
    assert (answer.status_code, answer.json()) == (200, {**before, "state": "deleted"})
    assert problem(world.call("viewer", "GET", f"//{REPO}/resolve/{first}/model.safetensors")) == (410, "deleted")
    lineage = world.call("viewer", "GET", "/lineage?run=digits").json()["nodes"]
    assert first in [node["commit"] for node in lineage]
    body = safetensors(tensors(1))
    assert here(world, body)
    age(world)
    assert collect(world)["blobs"] == 1
    assert not here(world, body)


def test_deleting_again_changes_nothing(two):
    world, (first, _) = two
    assert delete(world, first).json() == delete(world, first).json()
    deleted = [e for e in world.call("admin", "GET", "/audit").json()["items"] if e["action"] == "deleted"]
    assert [(e["by"], e["object"], e["detail"]) for e in deleted] == [("admin", REPO, first)]


def test_main_and_round_n_do_not_keep_a_version_of_a_run_that_has_ended(two):
    world, (_, second) = two
    dependants = world.call("admin", "GET", f"/adapters/{REPO}/versions/{second}/dependants").json()
    assert (dependants["aliases"], dependants["hindrances"]) == (["main", "round-2"], [])
    assert delete(world, second).status_code == 200
    assert problem(world.call("viewer", "GET", f"//{REPO}/resolve/main/model.safetensors")) == (410, "deleted")


def test_an_alias_that_somebody_moved_there_keeps_a_version(two):
    world, (first, second) = two
    path = f"/adapters/{REPO}/aliases/best"
    world.call("operator", "PUT", path, json={"commit": first}, headers={"if-none-match": "*"})
    assert "the alias best points to it" in hindered(world, first)
    world.call("operator", "PUT", path, json={"commit": second}, headers={"if-match": first})
    assert delete(world, first).status_code == 200


def test_no_alias_leads_to_a_deleted_version(two):
    world, (first, _) = two
    delete(world, first)
    moved = world.call(
        "operator", "PUT", f"/adapters/{REPO}/aliases/best", json={"commit": first}, headers={"if-none-match": "*"}
    )
    assert problem(moved) == (409, "deleted")


def test_an_open_grant_keeps_a_version_until_its_round_is_sealed_or_it_is_revoked(two):
    world, (first, second) = two
    world.grant("vqa-1", 3, readable=(first,))
    world.grant("vqa-2", 3, readable=(first, second))
    assert "round 3 of run digits is open and lets vqa-1, vqa-2 read it" in hindered(world, first)
    assert "lets vqa-2 read it" in hindered(world, second)
    world.call("aggregator", "DELETE", f"/grants/{UID}")
    assert delete(world, first).status_code == 200
    world.grant("vqa-1", 4, readable=(second,))
    hindered(world, second)
    world.seal(4)
    assert delete(world, second).status_code == 200


def test_a_released_copy_keeps_its_source_and_goes_first(two):
    world, (first, _) = two
    released = world.call("operator", "POST", f"/adapters/{REPO}/versions/{first}/release", json={"name": "good"})
    assert "released/good was released from it" in hindered(world, first)
    assert delete(world, released.json()["commit"], repo="released/good").status_code == 200
    assert delete(world, first).status_code == 200


def test_a_run_that_has_not_ended_keeps_what_it_hands_out(two):
    world, (first, second) = two
    connect(world, run_view(uid=UID))
    assert "run digits has not ended and hands it out" in hindered(world, second)
    assert delete(world, first).status_code == 200, "round 2 has superseded it"
    base = world.schema["connector"].commit
    assert "digits has not ended" in hindered(world, base, "digits/base-connector")


def test_what_the_last_round_of_another_run_read_is_kept_between_its_rounds_too(two):
    world, (first, second) = two
    other = World(world.app, run="other", uid="uid-other", schema=world.schema)
    other.grant(round_=1, readable=(first,))
    other.seal(1)
    connect(world, run_view("other", uid="uid-other"))
    assert "run other has not ended and hands it out" in hindered(world, first)
    assert delete(world, second).status_code == 200


def test_a_run_that_starts_from_another_keeps_all_of_it_until_it_has_a_round(two):
    world, (first, _) = two
    view = run_view("next", uid="uid-next")
    spec = view.spec.model_copy(update={"start_from": StartFrom(run="digits", round=2)})
    connect(world, view.model_copy(update={"spec": spec}))
    assert "run next has not ended and hands it out" in hindered(world, first)


def test_a_raw_update_stays_until_its_round_is_published_or_its_run_ends(world: World):
    commit, repo = world.answer(), "digits/client-vqa-1-update"
    connect(world, run_view(uid=UID))
    assert "has not published the round" in hindered(world, commit, repo)
    connect(world)
    assert delete(world, commit, repo=repo).status_code == 200


def test_every_page_of_the_runs_that_have_not_ended_is_asked_for(two):
    world, (_, second) = two
    aggregator = connect(world)
    aggregator.tell("runs", RunPage(items=(), next="more"))
    pages = [RunPage(items=(run_view("x", uid="x"),), next="more"), RunPage(items=(run_view(uid=UID),))]
    aggregator.answers["runs"] = pages
    assert problem(delete(world, second)) == (409, "in_use")
    assert [path for _, path, _, _ in aggregator.calls] == [
        "runs?active=true&limit=200",
        "runs?active=true&cursor=more&limit=200",
    ]


def test_while_the_aggregator_is_away_nothing_is_deleted_not_even_by_what_it_said_before(two):
    world, (first, second) = two
    aggregator = connect(world)
    assert delete(world, first).status_code == 200
    aggregator.away = True
    assert problem(delete(world, second)) == (503, "unavailable")


def test_only_an_admin_deletes_and_only_by_the_commit(two):
    world, (first, _) = two
    for who in ("viewer", "operator", "aggregator", "client:vqa-1"):
        assert problem(delete(world, first, who)) == (403, "forbidden")
        path = f"/adapters/{REPO}/versions/{first}/dependants"
        assert problem(world.call(who, "GET", path)) == (403, "forbidden")
    assert problem(delete(world, "main")) == (422, "invalid")
    assert problem(delete(world, "0" * 40)) == (404, "not_found")


def test_children_are_listed_newest_first_and_counted(world: World):
    connect(world)
    base = world.schema["connector"]
    world.grant()
    world.seal()
    parents = ({"repo": base.repo, "commit": base.commit, "coefficient": 0.5},)
    made = [world.output(f"task-t{n}-connector", seed=n, parents=parents) for n in range(52)]
    assert world.publish(world.publication(*made)).status_code == 201
    told = world.call("admin", "GET", f"/adapters/{base.repo}/versions/{base.commit}/dependants").json()
    assert (told["children_count"], len(told["children"])) == (52, 50)
    assert told["children"][0]["repo"] == "digits/task-t51-connector"


def test_a_tombstone_survives_a_lost_database(two, folder):
    world, (first, _) = two
    delete(world, first)
    before = world.call("viewer", "GET", f"/adapters/{REPO}/versions/{first}").json()
    assert before["state"] == "deleted"
    world.app.state.registry.database.close()
    drop_database(folder)
    assert reopened(world, folder).call("viewer", "GET", f"/adapters/{REPO}/versions/{first}").json() == before


def test_the_bytes_of_a_tombstone_stay_while_another_version_has_them(two):
    world, (first, _) = two
    world.grant(round_=3)
    world.seal(3)
    again = world.output("task-other-connector", 3, seed=1)
    assert world.publish(world.publication(again, round_=3)).status_code == 201
    assert delete(world, first).status_code == 200
    age(world)
    assert collect(world)["blobs"] == 0
    assert world.call("viewer", "GET", "//digits/task-other-connector/resolve/main/model.safetensors").is_success
    assert digest_of(safetensors(tensors(1))) == again.files["model.safetensors"].digest


@pytest.mark.parametrize(
    ("standing", "told"),
    [
        (Standing(), ()),
        (Standing(aliases=("best", "prod")), ("the alias best points to it", "the alias prod points to it")),
        (
            Standing(grants=(Handout("r", 2, "b"), Handout("r", 2, "a"), Handout("r", 1, "c"))),
            ("round 1 of run r is open and lets c read it", "round 2 of run r is open and lets a, b read it"),
        ),
        (Standing(released=("released/x",)), ("released/x was released from it",)),
        (Standing(handed_out=("r",)), ("run r has not ended and hands it out",)),
        (
            Standing(unmerged="r"),
            ("run r has not ended and has not published the round that it is an update of",),
        ),
    ],
)
def test_each_hindrance_is_a_sentence_of_its_own(standing: Standing, told: tuple[str, ...]):
    assert hindrances(standing) == told
