"""A client's commit: everything in it was sent by it and was asked for; the first one before the seal wins."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from databases import every_database  # noqa: F401
from pilot_proto.assignment import FileRef
from pilot_proto.canonical import canonical_bytes, digest_of
from pilot_proto.manifest import Parent
from unit.registry.world import UID, World, file_ref, problem, safetensors, tensors


def ready(world: World, client: str = "vqa-1", seed: int = 1, **changes):
    """A grant, its files sent, and the manifest that is still to be committed."""
    grant = world.grant(client, **changes)
    adapter = safetensors(tensors(seed))
    manifest, told = world.update_for(grant, adapter)
    world.put(adapter, client=client)
    world.put(told, "update", client)
    return manifest


def codes(world: World) -> list[str]:
    return [item["code"] for item in world.call("aggregator", "GET", f"/rounds/{UID}/1").json()["rejections"]]


def test_the_first_commit_wins_and_its_repetition_is_the_same_answer(world: World):
    manifest = ready(world)
    first = world.commit(manifest)
    assert first.status_code == 201
    again = world.commit(manifest)
    assert (again.status_code, again.json()) == (200, first.json())


def test_a_second_different_answer_is_refused_and_not_held_against_the_client(world: World):
    world.answer()
    adapter = safetensors(tensors(2))
    manifest, told = world.update_for(world.grant_for(), adapter)
    world.put(adapter)
    world.put(told, "update")
    assert problem(world.commit(manifest)) == (409, "already_answered")
    assert codes(world) == []


def test_after_the_seal_a_repetition_is_still_answered_but_nothing_new_comes_in(world: World):
    manifest, late = ready(world), ready(world, "vqa-2", 2)
    committed = world.commit(manifest)
    world.seal()
    assert world.commit(manifest).json() == committed.json()
    assert problem(world.commit(late)) == (409, "round_closed")


def test_a_client_cannot_commit_a_digest_that_another_uploaded(world: World):
    theirs = safetensors(tensors(7))
    world.grant("vqa-2")
    world.put(theirs, client="vqa-2")
    grant = world.grant("vqa-1")
    manifest, told = world.update_for(grant, theirs)
    world.put(told, "update")
    assert problem(world.commit(manifest)) == (409, "not_uploaded")
    assert codes(world) == ["not_uploaded"]


def test_possession_does_not_carry_over_to_another_round(world: World):
    world.answer(round_=1)
    adapter = safetensors(tensors(1))
    manifest, told = world.update_for(world.grant(round_=2), adapter)
    world.put(told, "update", round_=2)
    assert problem(world.commit(manifest)) == (409, "not_uploaded")
    world.put(adapter, round_=2)
    assert world.commit(manifest).status_code == 201


def test_bytes_that_were_admitted_as_small_json_are_no_adapter(world: World):
    grant = world.grant()
    adapter = b'{"not": "an adapter"}'
    manifest, told = world.update_for(grant, adapter)
    world.put(adapter, "update")
    world.put(told, "update")
    assert problem(world.commit(manifest)) == (409, "not_uploaded")


def test_another_client_cannot_commit_in_ones_place(world: World):
    manifest = ready(world)
    world.grant("vqa-2")
    assert problem(world.commit(manifest, who="client:vqa-2")) == (403, "identity_mismatch")
    assert problem(world.commit(manifest, who="aggregator")) == (403, "identity_mismatch")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"round": 2}, 409, "stale_round"),
        ({"program": "plain"}, 422, "stale_round"),
        ({"task": "caption"}, 422, "schema_mismatch"),
        ({"kind": "connector"}, 422, "schema_mismatch"),
        ({"model_digest": digest_of(b"another base")}, 422, "wrong_base"),
        ({"num_examples": 11}, 422, "schema_mismatch"),
        ({"parents": (Parent(repo="x/y", commit="0" * 40),)}, 422, "wrong_base"),
    ],
)
def test_a_manifest_that_does_not_say_what_the_grant_says_is_refused(world: World, changes, status, code):
    manifest = ready(world)
    assert problem(world.commit(manifest.model_copy(update=changes))) == (status, code)
    assert world.commit(manifest).status_code == 201, "the refusal occupied nothing"


def test_the_run_of_a_commit_is_the_grants(world: World):
    manifest = ready(world)
    other = manifest.model_copy(update={"run": "other", "repo": "other/client-vqa-1-update"})
    assert problem(world.commit(other)) == (422, "stale_round")


def test_exactly_the_files_of_the_grant_are_taken(world: World):
    manifest = ready(world)
    files = dict(manifest.files)
    more = manifest.model_copy(update={"files": {**files, "text/adapter_config.json": files["update.json"]}})
    assert problem(world.commit(more)) == (422, "schema_mismatch")
    less = manifest.model_copy(update={"files": {"update.json": files["update.json"]}})
    assert problem(world.commit(less)) == (422, "schema_mismatch")


def test_a_size_that_is_not_the_files_is_refused(world: World):
    manifest = ready(world)
    path = "connector/model.safetensors"
    wrong = FileRef(digest=manifest.files[path].digest, size=1)
    lied = manifest.model_copy(update={"files": {**manifest.files, path: wrong}})
    assert problem(world.commit(lied)) == (422, "schema_mismatch")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"assignment": digest_of(b"another")}, "stale_round"),
        ({"round": 0}, "stale_round"),
        ({"client": "vqa-2"}, "schema_mismatch"),
        ({"model": {"digest": digest_of(b"x"), "name": "n"}}, "wrong_base"),
        ({"adapters": {}}, "schema_mismatch"),
        ({"adapters": {"connector": {"digest": digest_of(b"x"), "num_parameters": 1}}}, "schema_mismatch"),
        ({"unknown": 1}, "schema_mismatch"),
        ({"num_examples": "10"}, "schema_mismatch"),
    ],
)
def test_an_update_json_that_contradicts_its_grant_or_files_is_refused(world: World, changes, code):
    import json

    grant, adapter = world.grant(), safetensors(tensors(1))
    manifest, told = world.update_for(grant, adapter)
    changed = canonical_bytes({**json.loads(told), **changes})
    world.put(adapter)
    assert world.put(changed, "update").status_code == 201
    lied = manifest.model_copy(update={"files": {**manifest.files, "update.json": file_ref(changed)}})
    assert problem(world.commit(lied)) == (422, code)
    assert codes(world) == [code]


def test_of_many_different_answers_at_once_exactly_one_is_admitted(world: World):
    manifests = []
    grant = world.grant()
    for seed in range(6):
        adapter = safetensors(tensors(seed + 1))
        manifest, told = world.update_for(grant, adapter)
        world.put(adapter)
        world.put(told, "update")
        manifests.append(manifest)
    start = threading.Barrier(len(manifests))

    def race(manifest):
        start.wait()
        return world.commit(manifest).status_code

    with ThreadPoolExecutor(len(manifests)) as threads:
        statuses = sorted(threads.map(race, manifests))
    assert statuses == [201] + [409] * 5
    assert len(world.call("aggregator", "GET", f"/rounds/{UID}/1").json()["admitted"]) == 1


def test_a_commit_that_races_the_seal_is_in_the_sealed_round_or_refused(world: World):
    manifests = {client: ready(world, client, seed) for seed, client in enumerate(("vqa-1", "vqa-2"), 1)}
    start = threading.Barrier(3)

    def commit(client):
        start.wait()
        return client, world.commit(manifests[client]).status_code

    def seal():
        start.wait()
        return world.seal().json()

    with ThreadPoolExecutor(3) as threads:
        commits = [threads.submit(commit, client) for client in manifests]
        sealed = threads.submit(seal).result()
        outcome = dict(future.result() for future in commits)
    admitted = {update["client"] for update in sealed["updates"]}
    assert admitted == {client for client, status in outcome.items() if status == 201}
    assert set(outcome.values()) <= {201, 409}
    assert world.seal().json() == sealed
