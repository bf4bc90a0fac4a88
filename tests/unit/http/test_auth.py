"""Who calls, and may they?"""

import asyncio
import hashlib

import httpx
import pytest
import yaml
from pilot_http.app import build
from pilot_http.auth import Caller, Principal, new_key, parse_principal, permitted, read_keys, unlisted
from pilot_proto.problem import InvalidDocument
from prometheus_client import CollectorRegistry

VIEWER, OPERATOR, ADMIN = Principal("viewer"), Principal("operator"), Principal("admin")
AGGREGATOR, OWN, OTHER = Principal("aggregator"), Principal("client", "vqa-1"), Principal("client", "vqa-2")
EVERYBODY = (VIEWER, OPERATOR, ADMIN, AGGREGATOR, OWN, OTHER)

# Who a route lets in, for a path of client vqa-1.
MATRIX = {
    "viewer": {VIEWER, OPERATOR, ADMIN},
    "operator": {OPERATOR, ADMIN},
    "admin": {ADMIN},
    "aggregator": {AGGREGATOR},
    "client": {OWN},
    "anyone": set(EVERYBODY),
}


@pytest.mark.parametrize("access", MATRIX)
@pytest.mark.parametrize("principal", EVERYBODY, ids=str)
def test_a_role_lets_in_those_it_names(access, principal):
    assert permitted(principal, frozenset({access}), "vqa-1") is (principal in MATRIX[access])


@pytest.mark.parametrize("principal", EVERYBODY, ids=str)
def test_several_roles_let_in_all_of_theirs(principal):
    allowed = frozenset({"client", "aggregator", "admin"})
    assert permitted(principal, allowed, "vqa-1") is (principal in {OWN, AGGREGATOR, ADMIN})


@pytest.mark.parametrize("principal", EVERYBODY, ids=str)
def test_a_route_that_allows_nobody_lets_in_nobody(principal):
    assert not permitted(principal, frozenset(), "vqa-1")


def test_a_client_reaches_no_client_route_without_a_client_in_its_path():
    assert not permitted(OWN, frozenset({"client"}), None)


def test_an_unknown_role_reaches_nothing():
    for access in ("viewer", "operator", "admin", "aggregator", "client"):
        assert not permitted(Principal("stranger"), frozenset({access}), "vqa-1")


@pytest.mark.parametrize(("text", "principal"), [("viewer", VIEWER), ("aggregator", AGGREGATOR), ("client:vqa-1", OWN)])
def test_a_principal_is_written_as_it_is_read(text, principal):
    assert parse_principal(text) == principal
    assert str(principal) == text


# -- key files


def key_file(folder, **entries):
    keys = [{"principal": name, "sha256": hashlib.sha256(key.encode()).hexdigest()} for name, key in entries.items()]
    file = folder / "keys.yaml"
    file.write_text(yaml.safe_dump({"keys": keys}))
    return file


def test_a_key_is_known_by_its_hash_only(tmp_path):
    key, digest = new_key()
    assert digest == hashlib.sha256(key.encode()).hexdigest()
    file = key_file(tmp_path, operator=key)
    assert key not in file.read_text()
    assert read_keys(file)(key) == OPERATOR


@pytest.mark.parametrize("token", ["", "wrong", "KEY-V", " key-v", "key-v "])
def test_another_token_is_nobodys(tmp_path, token):
    authenticate = read_keys(key_file(tmp_path, viewer="key-v"))
    assert authenticate("key-v") == VIEWER
    assert authenticate(token) is None


def test_the_hash_itself_is_no_key(tmp_path):
    authenticate = read_keys(key_file(tmp_path, viewer="key-v"))
    assert authenticate(hashlib.sha256(b"key-v").hexdigest()) is None


def test_keys_are_long_and_never_the_same():
    keys = {new_key()[0] for _ in range(50)}
    assert len(keys) == 50
    assert all(len(key) >= 43 for key in keys)


def test_a_key_file_with_a_fault_is_refused_with_its_place(tmp_path):
    file = tmp_path / "keys.yaml"
    file.write_text(yaml.safe_dump({"keys": [{"principle": "viewer", "sha256": "x"}]}))
    with pytest.raises(InvalidDocument, match="did you mean 'principal'"):
        read_keys(file)


def test_a_key_that_is_added_counts_at_once_and_one_that_is_taken_away_no_more(tmp_path):
    authenticate = read_keys(key_file(tmp_path, viewer="key-v"))
    key_file(tmp_path, viewer="key-w", operator="key-o")
    assert (authenticate("key-v"), authenticate("key-w"), authenticate("key-o")) == (None, VIEWER, OPERATOR)


@pytest.mark.parametrize("text", ["keys: [", "keys: [{principal: nobody, sha256: x}]", "keys: 1"])
def test_keys_stay_good_while_their_file_is_not(tmp_path, text):
    file = key_file(tmp_path, viewer="key-v")
    authenticate = read_keys(file)
    file.write_text(text)
    assert authenticate("key-v") == VIEWER
    file.unlink()
    assert authenticate("key-v") == VIEWER
    key_file(tmp_path, operator="key-o")
    assert (authenticate("key-v"), authenticate("key-o")) == (None, OPERATOR)


# -- the guard on a service


@pytest.fixture
def app(tmp_path):
    policy = {
        ("GET", "/open"): frozenset({"public"}),
        ("GET", "/looked-at"): frozenset({"viewer"}),
        ("POST", "/looked-at"): frozenset({"viewer"}),
        ("GET", "/clients/{client}"): frozenset({"client"}),
    }
    made = build(
        service="registry",
        title="a service",
        authenticate=read_keys(key_file(tmp_path, viewer="key-v", **{"client:vqa-1": "key-c"})),
        policy=policy,
        metrics=CollectorRegistry(),
        ready=lambda: None,
        hosts=["service"],
    )

    def who(caller: Caller) -> str:
        return str(caller)

    for method, path in (("GET", "/looked-at"), ("POST", "/looked-at"), ("GET", "/open"), ("GET", "/forgotten")):
        made.add_api_route(path, who, methods=[method])

    def whose(client: str, caller: Caller) -> str:
        return f"{client} by {caller}"

    made.add_api_route("/clients/{client}", whose)
    return made


def ask(app, method, path, authorization=None):
    headers = {"Authorization": authorization} if authorization is not None else {}

    async def drive():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(drive())


@pytest.mark.parametrize(
    ("method", "authorization", "status"),
    [
        ("GET", "Bearer key-v", 200),
        ("GET", "bearer key-v", 200),
        ("POST", "Bearer key-v", 200),
        ("GET", None, 401),
        ("GET", "", 401),
        ("GET", "Bearer", 401),
        ("GET", "Bearer wrong", 401),
        ("GET", "key-v", 401),
        ("GET", "Basic bWU6a2V5LXY=", 401),
        ("GET", "Bearer key-c", 403),
    ],
)
def test_a_bearer_token_is_the_only_header_that_counts(app, method, authorization, status):
    response = ask(app, method, "/looked-at", authorization)
    assert response.status_code == status
    if status == 200:
        assert response.json() == "viewer"


def test_who_is_not_known_is_asked_for_a_key(app):
    response = ask(app, "GET", "/looked-at")
    assert response.headers["www-authenticate"] == 'Bearer realm="Pilot"'
    assert response.json()["code"] == "unauthenticated"
    assert "Authorization: Bearer" in response.json()["hint"]


def test_who_may_not_is_told_who_may(app):
    response = ask(app, "GET", "/looked-at", "Bearer key-c")
    assert response.json()["code"] == "forbidden"
    assert response.json()["detail"] == "client:vqa-1 may not GET /looked-at"
    assert response.json()["hint"] == "allowed: viewer"


@pytest.mark.parametrize(("path", "status"), [("/clients/vqa-1", 200), ("/clients/vqa-2", 403)])
def test_a_client_reaches_its_own_path_only(app, path, status):
    assert ask(app, "GET", path, "Bearer key-c").status_code == status


def test_a_route_that_is_not_in_the_table_is_refused_to_everybody_and_found(app):
    response = ask(app, "GET", "/forgotten", "Bearer key-v")
    assert response.status_code == 403
    assert response.json()["hint"] == "allowed: nobody"
    assert ask(app, "GET", "/forgotten").status_code == 401
    assert unlisted(app, app.state.policy) == {("GET", "/forgotten")}


def test_a_public_route_needs_no_key(app):
    assert ask(app, "GET", "/open").json() == "nobody"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/api/v1alpha1/version"])
def test_health_and_version_are_public(app, path):
    assert ask(app, "GET", path).status_code == 200


@pytest.mark.parametrize("text", ["operater", "client:", "viewer:vqa-1", ""])
def test_a_key_for_a_role_that_does_not_exist_is_refused_at_start(text):
    with pytest.raises(ValueError, match="is no principal"):
        parse_principal(text)
