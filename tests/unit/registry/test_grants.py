"""Grants: idempotent, immutable, and bound to one run."""

from databases import every_database  # noqa: F401
from pilot_proto.canonical import canonical_bytes
from pilot_proto.grant import Grant, Handed, RoundGrants
from unit.registry.world import UID, World, problem, safetensors, tensors


def test_a_grant_is_created_once_and_repeated_without_effect(world: World):
    wanted = world.grant_for()
    assert world.put_grant(wanted).status_code == 201
    again = world.put_grant(wanted)
    assert again.status_code == 200
    assert again.json()["client"] == "vqa-1"


def test_another_grant_for_the_same_place_is_refused(world: World):
    world.grant()
    assert problem(world.put_grant(world.grant_for(task="caption"))) == (409, "grant_differs")


def test_the_name_of_a_run_belongs_to_the_uid_of_its_first_grant(world: World):
    assert problem(world.put_grant(world.grant_for(uid="another-uid"))) == (409, "name_taken")
    assert problem(world.put_grant(world.grant_for(run="another-name"))) == (409, "name_taken")


def test_a_grant_is_read_strictly_and_must_be_the_one_of_its_path(world: World):
    wanted = world.grant_for()
    path = f"/grants/{UID}/1/vqa-1"
    unknown = canonical_bytes({**wanted.model_dump(mode="json", exclude_none=True), "kindz": []})
    answer = world.call("aggregator", "PUT", path, content=unknown)
    assert problem(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["pointer"] == "/kindz"
    elsewhere = world.call("aggregator", "PUT", f"/grants/{UID}/2/vqa-1", content=canonical_bytes(wanted))
    assert problem(elsewhere) == (422, "invalid")


def test_names_that_are_reserved_are_refused(world: World):
    for changes in ({"run": "released", "uid": "x"}, {"run": "api", "uid": "x"}, {"client": "ui"}):
        assert problem(world.put_grant(world.grant_for(**changes))) == (422, "invalid")


def test_no_grant_joins_a_sealed_round(world: World):
    world.answer()
    world.seal()
    assert problem(world.put_grant(world.grant_for("vqa-2"))) == (409, "round_closed")


def test_revoking_closes_the_open_rounds_of_a_run_and_only_them(world: World):
    handed = (world.schema["connector"].commit,)
    world.answer(readable=handed)
    world.seal()
    world.grant(round_=2)
    for _ in range(2):
        assert world.call("aggregator", "DELETE", f"/grants/{UID}").status_code == 204
    late = world.put(safetensors(tensors(1)), round_=2)
    assert problem(late) == (409, "round_closed")
    base = "//digits/base-connector/resolve/main/model.safetensors"
    assert world.call("client:vqa-1", "GET", base).status_code == 200, "round 1 was sealed, not revoked"


def test_a_revoked_grant_gives_nothing_to_read(world: World):
    handed = (world.schema["connector"].commit,)
    world.grant(readable=handed)
    base = "//digits/base-connector/resolve/main/model.safetensors"
    assert world.call("client:vqa-1", "GET", base).status_code == 200
    world.call("aggregator", "DELETE", f"/grants/{UID}")
    assert problem(world.call("client:vqa-1", "GET", base)) == (404, "not_found")


def test_revoking_an_unknown_run_is_404(world: World):
    assert problem(world.call("aggregator", "DELETE", "/grants/nobody")) == (404, "not_found")


def put_all(world: World, *grants: Grant, round_: int = 1):
    path = f"/grants/{UID}/{round_}"
    return world.call("aggregator", "PUT", path, content=canonical_bytes(RoundGrants(grants=grants)))


def newest(world: World) -> int:
    """The number of the journal's last entry."""
    return world.call("admin", "GET", "/audit").json()["items"][0]["sequence"]


def test_the_grants_of_a_round_are_given_at_once_and_repeated_without_effect(world: World):
    wanted = [world.grant_for(client, readable=(world.schema["connector"].commit,)) for client in ("vqa-1", "vqa-2")]
    assert put_all(world, *wanted).status_code == 204
    last = newest(world)
    assert put_all(world, *wanted).status_code == 204
    assert world.put_grant(wanted[0]).status_code == 200
    assert newest(world) == last
    assert put_all(world, *wanted, world.grant_for("caption-1")).status_code == 204
    world.answer("vqa-1", readable=wanted[0].readable)
    base = "//digits/base-connector/resolve/main/model.safetensors"
    assert world.call("client:vqa-2", "GET", base).status_code == 200


def test_of_grants_that_are_given_at_once_all_are_stored_or_none(world: World):
    world.grant("vqa-2")
    answer = put_all(world, world.grant_for("vqa-1"), world.grant_for("vqa-2", task="caption"))
    assert problem(answer) == (409, "grant_differs")
    assert problem(world.put(safetensors(tensors(1)))) == (409, "stale_round")
    assert problem(put_all(world, world.grant_for("vqa-1"), world.grant_for("ui"))) == (422, "invalid")
    twice = put_all(world, world.grant_for("vqa-1"), world.grant_for("vqa-1"))
    assert problem(twice) == (422, "invalid")
    assert problem(put_all(world, world.grant_for("vqa-1"), round_=2)) == (422, "invalid")
    assert problem(world.put(safetensors(tensors(1)))) == (409, "stale_round")


def test_no_grants_join_a_sealed_round(world: World):
    world.answer()
    world.seal()
    assert problem(put_all(world, world.grant_for("vqa-1"), world.grant_for("vqa-2"))) == (409, "round_closed")


def published(world: World) -> dict[str, str]:
    """Round 1 is published, of which nobody has been handed anything yet; commits by repository."""
    world.answer("vqa-1", seed=1)
    world.answer("vqa-2", seed=2)
    world.seal()
    merged = world.output("task-vqa-connector")
    theirs = world.output("client-vqa-2-connector", seed=52, contributors=("vqa-2",), client="vqa-2")
    request = world.publication(merged, theirs)
    assert world.publish(request).status_code == 201
    return dict(request.publication.outputs)


def hand_out(world: World, *commits: str, client: str = "vqa-1", round_: int = 1, who: str = "aggregator"):
    path = f"/grants/{UID}/{round_}/{client}/handed"
    return world.call(who, "PUT", path, content=canonical_bytes(Handed(commits=commits)))


def read(world: World, repo: str, who: str = "client:vqa-1") -> int:
    return world.call(who, "GET", f"//{repo}/resolve/round-1/model.safetensors").status_code


def test_a_client_reads_what_its_published_round_is_said_to_hand_it_and_nothing_else_of_it(world: World):
    made = published(world)
    assert [read(world, repo) for repo in made] == [404, 404]
    for _ in range(2):
        assert hand_out(world, made["digits/task-vqa-connector"]).status_code == 204
    assert read(world, "digits/task-vqa-connector") == 200
    assert read(world, "digits/client-vqa-2-connector") == 404
    assert read(world, "digits/task-vqa-connector", "client:vqa-2") == 404


def test_what_was_handed_out_stays_readable_when_the_run_is_cancelled(world: World):
    made = published(world)
    hand_out(world, *made.values())
    world.grant(round_=2)
    assert world.call("aggregator", "DELETE", f"/grants/{UID}").status_code == 204
    assert [read(world, repo) for repo in made] == [200, 200]


def test_nothing_is_handed_out_before_it_is_published_or_to_who_was_not_asked(world: World):
    world.answer("vqa-1", seed=1)
    commit = world.schema["connector"].commit
    assert problem(hand_out(world, commit)) == (409, "not_published")
    assert problem(hand_out(world, commit, client="vqa-2")) == (404, "not_found")
    assert problem(hand_out(world, commit, round_=7)) == (404, "not_found")


def test_only_the_aggregator_hands_out(world: World):
    made = published(world)
    for who in ("client:vqa-1", "viewer", "operator", "admin"):
        assert problem(hand_out(world, *made.values(), who=who)) == (403, "forbidden")
    assert [read(world, repo) for repo in made] == [404, 404]


def test_a_raw_update_is_handed_to_nobody(world: World):
    published(world)
    update = world.call("aggregator", "GET", "/adapters?kind=update&client=vqa-2").json()["items"][0]
    hand_out(world, update["commit"])
    path = f"//{update['repo']}/resolve/{update['commit']}/update.json"
    assert problem(world.call("client:vqa-1", "GET", path)) == (404, "not_found")
