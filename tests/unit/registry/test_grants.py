"""Grants: idempotent, immutable, and bound to one run."""

from databases import every_database  # noqa: F401
from pilot_proto.canonical import canonical_bytes
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
