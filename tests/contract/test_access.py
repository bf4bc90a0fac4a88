"""A client reads and writes what is its own, and nothing of any other client's; nor does anybody else in its place.

Every client against every other client's path, on both services; every role on every route is in the tests of each
service's own table (test_api.py, test_visibility.py).
"""

from itertools import product

import pytest
from pilot_http.auth import Principal, RunOfPod, principal_of
from pilot_proto.canonical import digest_of
from unit.aggregator.service import app_over, call, service_in
from unit.aggregator.world import (
    MODEL,
    NOW,
    base_slots,
    document,
    history,
    open_round,
    published_of,
)
from unit.registry.world import UID, World, app_in, problem, safetensors, tensors

OTHERS = ("viewer", "operator", "admin", "aggregator")
"""Nobody else is a client either."""

# -- the aggregator

ASKED = ("cap-1", "vqa-1", "vqa-2")
PAIRS = [pair for pair in product(("base", *ASKED, *OTHERS), ASKED) if pair[0] != pair[1]]
PARTS = {
    "assignment": ("GET", None),
    "progress": ("POST", {"step": 1}),
    "report": ("POST", {"commit": "0" * 40}),
    "failure": ("POST", {"code": "bad_data", "message": "none"}),
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """An aggregator that waits for every client in round 1."""
    service = service_in(tmp_path_factory.mktemp("aggregator"))
    app = app_over(service)
    assert call(app, "operator", "POST", "/runs", json=document()).status_code == 201
    run = service.store.run("t")
    open_round(service.store, run, 0)
    service.store.adopt_publication(run.uid, 0, published_of(0, []), base_slots(), {}, MODEL, NOW)
    open_round(service.store, run, 1, history())
    return service, app


def at(app, who, part, client):
    method, body = PARTS[part]
    principal = who if who in OTHERS else f"client:{who}"
    return call(app, principal, method, f"/runs/t/rounds/1/clients/{client}/{part}", json=body)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("client", ASKED)
def test_a_client_reaches_its_own_part_of_a_round(asked, client, part):
    assert at(asked[1], client, part, client).status_code in (200, 204)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("who", "client"), PAIRS)
def test_nobody_reaches_the_part_of_another_client(asked, who, client, part):
    service, app = asked
    run = service.store.run("t")
    before = (dict(service.board), service.store.assignments(run.uid, 1), len(service.store.events_after(run.uid, 0)))
    assert problem(at(app, who, part, client)) == (403, "forbidden")
    after = (dict(service.board), service.store.assignments(run.uid, 1), len(service.store.events_after(run.uid, 0)))
    assert before == after


# -- the registry

CLIENTS = ("vqa-1", "vqa-2")
ADAPTERS = {client: safetensors(tensors(seed)) for seed, client in enumerate(CLIENTS, 1)}
STRANGERS = [
    (who, client)
    for who, client in product(("client:vqa-1", "client:vqa-2", "client:base", *OTHERS), CLIENTS)
    if who != f"client:{client}"
]


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Round 1 is published, each client having one output of its own; in round 2 both are asked, and have begun."""
    world = World(app_in(tmp_path_factory.mktemp("registry"))).prepare()
    world.commits = {client: world.answer(client, 1, seed) for seed, client in enumerate(CLIENTS, 1)}
    world.seal(1)
    own = [world.output(f"client-{c}-connector", contributors=(c,), seed=7 + i) for i, c in enumerate(CLIENTS)]
    request = world.publication(*own)
    assert world.publish(request).status_code == 201
    world.own = {c: request.publication.outputs[m.repo] for c, m in zip(CLIENTS, own, strict=True)}
    for client in CLIENTS:
        world.grant(client, 2, readable=(world.own[client],))
    world.uploads = {client: begin(world, f"client:{client}", client).json()["id"] for client in CLIENTS}
    yield world
    world.app.state.registry.database.close()


def begin(world, who, client):
    body = ADAPTERS[client]
    query = {"digest": digest_of(body), "size": len(body), "uid": UID, "round": 2, "kind": "connector"}
    return world.call(who, "POST", "/uploads", params={**query, "client": client})


def state(world):
    """What a stranger must not change."""
    return (
        world.call("aggregator", "GET", f"/rounds/{UID}/2").json()["admitted"],
        [begin(world, f"client:{client}", client).json() for client in CLIENTS],
    )


@pytest.mark.parametrize(("who", "client"), STRANGERS)
def test_nobody_sends_a_file_in_the_name_of_another_client(registry, who, client):
    before = state(registry)
    answer = registry.put(ADAPTERS[client], client=client, who=who, round_=2)
    assert answer.status_code == 403
    assert begin(registry, who, client).status_code == 403
    assert state(registry) == before


@pytest.mark.parametrize(("who", "client"), STRANGERS)
def test_nobody_goes_on_with_the_upload_of_another_client(registry, who, client):
    before = state(registry)
    id = registry.uploads[client]
    assert problem(registry.call(who, "PATCH", f"/uploads/{id}?offset=0", content=b"x")) == (404, "upload_unknown")
    assert problem(registry.call(who, "POST", f"/uploads/{id}/complete")) == (404, "upload_unknown")
    assert state(registry) == before


@pytest.mark.parametrize(("who", "client"), STRANGERS)
def test_nobody_answers_for_another_client(registry, who, client):
    before = state(registry)
    manifest, _ = registry.update_for(registry.grant_for(client, 2), ADAPTERS[client])
    assert problem(registry.commit(manifest, who)) == (403, "identity_mismatch")
    assert state(registry) == before


@pytest.mark.parametrize(("who", "client"), [pair for pair in STRANGERS if pair[0] != "aggregator"])
def test_nobody_but_the_aggregator_reads_the_raw_update_of_another_client(registry, who, client):
    repo, commit = f"digits/client-{client}-update", registry.commits[client]
    paths = [f"//{repo}/resolve/{commit}/{file}" for file in ("update.json", "connector/model.safetensors")]
    for path in paths:
        assert registry.call(f"client:{client}", "GET", path).status_code == 200, "the owner reads it"
        assert registry.call(who, "GET", path).status_code in (403, 404)
    if who != "admin":  # who may see that it exists, and no byte of it
        assert registry.call(who, "GET", f"/adapters/{repo}/versions/{commit}").status_code == 404


@pytest.mark.parametrize(("who", "client"), [pair for pair in STRANGERS if pair[0] != "aggregator"])
def test_what_was_made_of_one_clients_data_alone_is_read_by_it_and_by_whom_a_grant_names(registry, who, client):
    path = f"//digits/client-{client}-connector/resolve/{registry.own[client]}/model.safetensors"
    assert registry.call(f"client:{client}", "GET", path).status_code == 200
    assert registry.call(who, "GET", path).status_code in (403, 404)


def test_a_grant_hands_out_what_it_names_to_its_client_and_to_nobody_else(registry):
    path = f"//digits/client-vqa-1-connector/resolve/{registry.own['vqa-1']}/model.safetensors"
    assert registry.call("client:vqa-2", "GET", path).status_code == 404
    registry.grant("vqa-2", 3, readable=(registry.own["vqa-1"],))
    assert registry.call("client:vqa-2", "GET", path).status_code == 200
    assert registry.call("client:base", "GET", path).status_code == 404


def test_a_file_of_another_client_cannot_be_named_in_ones_own_update(registry):
    """Its digest is no secret: only who has sent the bytes may commit them."""
    manifest, told = registry.update_for(registry.grant_for("vqa-1", 2), ADAPTERS["vqa-2"])
    assert registry.put(ADAPTERS["vqa-2"], client="vqa-2", round_=2).status_code in (200, 201)
    assert registry.put(told, "update", "vqa-1", round_=2).status_code == 201
    assert problem(registry.commit(manifest)) == (409, "not_uploaded")


# -- a pod of one run on the paths of another


class Pods:
    """Tokens RUN/UID/CLIENT, as a cluster's identity would find them."""

    def __call__(self, token):
        if "/" not in token:
            return Principal("operator") if token == "operator" else None
        run, uid, client = token.split("/")
        return Principal("client", client, RunOfPod(run, uid))


@pytest.mark.parametrize("part", PARTS)
def test_a_pod_that_was_made_for_another_run_has_no_part_in_this_one(asked, part):
    from pilot_aggregator.app import build_app

    app = build_app(asked[0], Pods(), ["aggregator"])
    method, body = PARTS[part]
    path = f"/runs/t/rounds/1/clients/vqa-1/{part}"
    uid = asked[0].store.run("t").uid
    assert call(app, f"t/{uid}/vqa-1", method, path, json=body).status_code in (200, 204)
    assert problem(call(app, "u/other/vqa-1", method, path, json=body)) == (403, "forbidden")


@pytest.mark.parametrize(("uid", "found"), [(UID, True), ("uid-2", False)])
def test_a_pod_goes_on_with_uploads_of_its_own_run_only(registry, uid, found):
    """Their path names no run, so that the guard cannot tell."""
    pod = Principal("client", "vqa-1", RunOfPod("digits", uid))
    registry.app.dependency_overrides[principal_of] = lambda: pod
    try:
        path = f"/uploads/{registry.uploads['vqa-1']}?offset=999"
        expected = (409, "wrong_offset") if found else (404, "upload_unknown")
        assert problem(registry.call("client:vqa-1", "PATCH", path, content=b"x")) == expected
    finally:
        registry.app.dependency_overrides.clear()
