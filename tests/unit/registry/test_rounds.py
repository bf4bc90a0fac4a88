"""Seal and publish: the two transactions of a round."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from databases import every_database  # noqa: F401
from pilot_proto.canonical import canonical_bytes, commit_of, digest_of, document_digest
from pilot_proto.grant import Publication
from pilot_proto.manifest import Parent
from unit.registry.world import UID, World, problem, safetensors, tensors


def sealed(world: World) -> World:
    world.answer("vqa-1", seed=1)
    world.answer("vqa-2", seed=2)
    world.seal()
    return world


def test_an_unknown_round_is_404(world: World):
    assert problem(world.call("aggregator", "GET", f"/rounds/{UID}/9")) == (404, "not_found")
    assert problem(world.seal(9)) == (404, "not_found")


def test_a_seal_lists_the_updates_by_client_and_is_the_same_bytes_for_ever(world: World):
    world.answer("vqa-2", seed=2)
    world.answer("vqa-1", seed=1)
    first = world.seal()
    assert [update["client"] for update in first.json()["updates"]] == ["vqa-1", "vqa-2"]
    assert world.seal().content == first.content
    seen = world.call("aggregator", "GET", f"/rounds/{UID}/1").json()
    assert seen["sealed"] == first.json()


def test_who_knows_the_first_updates_is_told_of_those_after_them(world: World):
    def told(known: int) -> tuple[list[str], int]:
        view = world.call("aggregator", "GET", f"/rounds/{UID}/1?known={known}").json()
        return [update["client"] for update in view["admitted"]], view["total"]

    world.grant("vqa-1")
    assert told(0) == ([], 0)
    world.answer("vqa-2", seed=2)
    assert told(0) == (["vqa-2"], 1)
    world.answer("vqa-1", seed=1)
    assert told(0) == (["vqa-1", "vqa-2"], 2)
    assert told(1) == (["vqa-1"], 2), "the first is who was admitted first, not who sorts first"
    assert told(2) == told(9) == ([], 2)


def test_an_empty_round_can_be_sealed(world: World):
    world.grant()
    assert world.seal().json()["updates"] == []


def test_equal_adapters_in_a_round_are_flagged_on_both_sides(world: World):
    world.answer("vqa-1", seed=1)
    world.answer("vqa-2", seed=1)
    assert [update["flags"] for update in world.seal().json()["updates"]] == [["duplicate_content"]] * 2


def test_an_adapter_equal_to_one_of_an_earlier_round_is_flagged_and_a_new_one_is_not(world: World):
    world.answer("vqa-1", 1, seed=1)
    world.answer("vqa-1", 2, seed=1)
    world.answer("vqa-2", 2, seed=2)
    assert [update["flags"] for update in world.seal(2).json()["updates"]] == [["duplicate_content"], []]
    assert [update["flags"] for update in world.seal(1).json()["updates"]] == [[]], (
        "a later round changes no earlier one"
    )


def test_publishing_stores_versions_aliases_and_lineage_together(world: World):
    sealed(world)
    parents = tuple(
        Parent(repo=update["repo"], commit=update["commit"], coefficient=0.5)
        for update in world.seal().json()["updates"]
    )
    output = world.output("task-vqa-connector", parents=parents)
    request = world.publication(output)
    answer = world.publish(request)
    assert answer.status_code == 201
    assert answer.json()["outputs"] == request.publication.outputs
    for revision in ("main", "round-1", commit_of(canonical_bytes(output))):
        path = f"/adapters/{output.repo}/versions/{revision}"
        assert world.call("viewer", "GET", path).json()["aliases"] == ["main", "round-1"]
    edges = world.call("viewer", "GET", "/lineage?run=digits").json()["edges"]
    assert [edge["coefficient"] for edge in edges] == [0.5, 0.5]


def test_the_same_publication_again_is_200_and_another_one_names_the_first(world: World):
    sealed(world)
    request = world.publication(world.output("task-vqa-connector"))
    assert world.publish(request).status_code == 201
    again = world.publish(request)
    assert (again.status_code, again.json()) == (200, request.publication.model_dump(mode="json"))
    other = world.publish(world.publication(world.output("task-vqa-connector", seed=51)))
    assert problem(other) == (409, "already_published")
    assert document_digest(request.publication) in other.json()["detail"]
    assert world.call("aggregator", "GET", f"/rounds/{UID}/1").json()["publication"] == again.json()


def test_of_two_different_publications_at_once_one_is_stored_whole(world: World):
    sealed(world)
    requests = [world.publication(world.output("task-vqa-connector", seed=seed)) for seed in (60, 61, 62)]
    start = threading.Barrier(3)

    def publish(request):
        start.wait()
        return world.publish(request).status_code

    with ThreadPoolExecutor(3) as threads:
        statuses = list(threads.map(publish, requests))
    assert sorted(statuses) == [201, 409, 409]
    winner = requests[statuses.index(201)].publication.outputs["digits/task-vqa-connector"]
    listed = world.call("viewer", "GET", "/adapters?run=digits&round=1").json()["items"]
    assert [item["commit"] for item in listed] == [winner]


def test_a_round_is_published_only_after_its_seal(world: World):
    world.answer()
    request = world.publication(world.output("task-vqa-connector"))
    assert problem(world.publish(request)) == (409, "not_sealed")


def test_an_output_without_a_manifest_is_carried_over_and_gets_the_aliases_only(world: World):
    sealed(world)
    base = world.schema["connector"]
    assert world.publish(world.publication(carried={base.repo: base.commit})).status_code == 201
    view = world.call("viewer", "GET", f"/adapters/{base.repo}/versions/main").json()
    assert view["commit"] == base.commit
    assert view["aliases"] == ["main", "round-0", "round-1"]


def test_an_output_may_reuse_the_bytes_of_its_single_input(world: World):
    sealed(world)
    body = safetensors(tensors(1))
    output = world.output("client-vqa-1-connector", contributors=("vqa-1",), seed=1)
    assert output.files["model.safetensors"].digest == digest_of(body)
    assert world.publish(world.publication(output)).status_code == 201


def wrong_requests(world: World):
    good = world.output("task-vqa-connector")
    unsent = good.files["model.safetensors"].model_copy(update={"digest": digest_of(b"never sent")})
    short = good.files["model.safetensors"].model_copy(update={"size": 1})
    base = world.publication(good)
    return {
        "unsent file": world.publication(good.model_copy(update={"files": {"model.safetensors": unsent}})),
        "wrong size": world.publication(good.model_copy(update={"files": {"model.safetensors": short}})),
        "no adapter": world.publication(good.model_copy(update={"files": {}})),
        "an update": world.publication(good.model_copy(update={"kind": "update", "client": "vqa-1"})),
        "an update repo": world.publication(good.model_copy(update={"repo": "digits/client-vqa-1-update"})),
        "another run": world.publication(good.model_copy(update={"repo": "other/task-vqa-connector"})),
        "another round": world.publication(good.model_copy(update={"round": 3})),
        "another plan": world.publication(good.model_copy(update={"plan": digest_of(b"other plan")})),
        "unknown carried": world.publication(carried={"digits/base-connector": "0" * 40}),
        "twice": base.model_copy(update={"manifests": (good, good)}),
        "no such output": base.model_copy(update={"manifests": (good, world.output("task-more-connector"))}),
        "lying commit": base.model_copy(
            update={"publication": base.publication.model_copy(update={"outputs": {good.repo: "1" * 40}})}
        ),
        "plan not sent": base.model_copy(
            update={"publication": base.publication.model_copy(update={"plan": digest_of(b"no")})}
        ),
        "run of others": base.model_copy(update={"publication": base.publication.model_copy(update={"run": "x"})}),
    }


def test_a_publication_that_contradicts_itself_or_names_what_is_not_here_changes_nothing(world: World):
    sealed(world)
    before = world.call("admin", "GET", "/adapters").json()
    for what, request in wrong_requests(world).items():
        answer = world.publish(request)
        assert answer.status_code == 422, (what, answer.text)
        assert answer.json()["code"] in ("outputs_differ", "not_uploaded", "unknown_commit", "wrong_round"), what
    assert world.call("admin", "GET", "/adapters").json() == before
    assert world.call("aggregator", "GET", f"/rounds/{UID}/1").json()["publication"] is None


def test_a_publication_is_read_strictly(world: World):
    sealed(world)
    raw = world.publication(world.output("task-vqa-connector")).model_dump(mode="json", exclude_none=True)
    raw["manifests"][0]["colour"] = "red"
    answer = world.call("aggregator", "POST", f"/rounds/{UID}/1/publish", json=raw)
    assert problem(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["pointer"] == "/manifests/0/colour"


@pytest.mark.parametrize("media_type", ["application/json", "application/octet-stream"])
def test_numbers_that_no_float_holds_are_refused(world: World, media_type: str):
    manifest = world.output("task-vqa-connector", parents=({"repo": "a/b", "commit": "0" * 40, "coefficient": 7.5},))
    raw = canonical_bytes(world.publication(manifest)).replace(b"7.5", b"1e999")
    answer = world.call(
        "aggregator", "POST", f"/rounds/{UID}/1/publish", content=raw, headers={"content-type": media_type}
    )
    assert problem(answer) == (422, "invalid")


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_numbers_that_are_not_json_are_refused(world: World, number: str):
    answer = world.call(
        "aggregator",
        "POST",
        f"/rounds/{UID}/0/publish",
        content='{"publication": ' + number + "}",
        headers={"content-type": "application/json"},
    )
    assert problem(answer) == (422, "invalid")


def test_the_stored_publication_is_its_canonical_bytes(world: World):
    sealed(world)
    request = world.publication(world.output("task-vqa-connector"))
    assert world.publish(request).content == canonical_bytes(request.publication)
    assert Publication.model_validate_json(world.publish(request).content) == request.publication
