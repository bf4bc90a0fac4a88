"""A proxy that has signed somebody in: its word counts if it proves itself."""

import asyncio
import hashlib

import httpx
import pytest
import yaml
from pilot_http.app import build
from pilot_http.auth import Caller, credential_of, read_keys
from pilot_http.proxy import Proxy, role_of
from pilot_proto.problem import InvalidDocument
from prometheus_client import CollectorRegistry
from starlette.requests import Request

SECRET = "between the proxy and us"
ROLES = {"admins": "admin", "lab": "operator", "*": "viewer"}
SENT = {"X-Pilot-Proxy-Secret": SECRET, "X-Forwarded-User": "mira@lab", "X-Forwarded-Groups": "staff, lab"}


def proxy_file(folder, **changes):
    document = {"secretSha256": hashlib.sha256(SECRET.encode()).hexdigest(), "roles": ROLES, **changes}
    file = folder / "proxy.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


@pytest.fixture
def app(tmp_path):
    (tmp_path / "keys.yaml").write_text(yaml.safe_dump({"keys": []}))
    made = build(
        service="registry",
        title="a service",
        authenticate=read_keys(tmp_path / "keys.yaml"),
        doors=[Proxy(proxy_file(tmp_path))],
        policy={("GET", "/look"): frozenset({"viewer"}), ("POST", "/act"): frozenset({"operator"})},
        metrics=CollectorRegistry(),
        ready=lambda: None,
        hosts=["service"],
    )

    def who(caller: Caller, request: Request) -> dict:
        return {"who": str(caller), "sent_on": dict(credential_of(request).headers)}

    made.add_api_route("/look", who, methods=["GET"])
    made.add_api_route("/act", who, methods=["POST"])
    return made


def ask(app, method="GET", path="/look", **headers):
    async def drive():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(drive())


def test_a_person_is_called_by_name_and_has_the_highest_role_of_its_groups(app):
    answer = ask(app, **SENT).json()
    assert answer["who"] == "operator:mira@lab"
    assert answer["sent_on"] == {**SENT, "X-Forwarded-Groups": "staff, lab"}


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"X-Pilot-Proxy-Secret": "another"}, 401, "unauthenticated"),
        ({"X-Pilot-Proxy-Secret": ""}, 401, "unauthenticated"),
        ({"X-Forwarded-User": ""}, 401, "unauthenticated"),
        ({"X-Forwarded-User": "a" * 101}, 401, "unauthenticated"),
    ],
)
def test_headers_without_the_right_secret_or_a_name_mean_nothing(app, changes, status, code):
    answer = ask(app, **{**SENT, **changes})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_without_the_secret_nobody_is_believed(app):
    assert ask(app, **{"X-Forwarded-User": "mira@lab", "X-Forwarded-Groups": "admins"}).status_code == 401


def test_who_has_no_role_is_told_so(tmp_path, app):
    proxy_file(tmp_path, roles={"admins": "admin"})
    answer = ask(app, **SENT)
    assert (answer.status_code, answer.json()["code"]) == (403, "no_role")
    assert "'staff, lab'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://service"}, 200),
        ({"Origin": "https://service"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://service"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://elsewhere"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_what_a_browser_sends_unasked_changes_something_only_from_our_own_pages(app, headers, status):
    answer = ask(app, "POST", "/act", **SENT, **headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "cross_site"


@pytest.mark.parametrize(
    ("groups", "role"),
    [("admins", "admin"), ("lab,admins", "admin"), ("lab", "operator"), ("", "viewer"), ("nobody", "viewer")],
)
def test_the_highest_role_counts(groups, role):
    assert role_of(ROLES, groups) == role


def test_without_a_role_for_everybody_strangers_have_none():
    assert role_of({"admins": "admin"}, "lab, ") is None


def test_a_proxy_file_with_a_fault_is_refused_with_its_place(tmp_path):
    with pytest.raises(InvalidDocument, match="did you mean 'roles'"):
        Proxy(proxy_file(tmp_path, rolls={}))
    with pytest.raises(InvalidDocument, match="secretSha256"):
        Proxy(proxy_file(tmp_path, secretSha256="secret"))
