"""Who calls, in a cluster: which ServiceAccount tokens are believed, as whom, for how long, and why others are not."""

import asyncio
import logging
import time

import httpx
import pytest
from pilot_http.api_server import DISCOVERY, KEYS, REVIEWS, ApiServer, Place
from pilot_http.app import build
from pilot_http.auth import Caller, Principal, RunOfPod
from pilot_http.identity import (
    HOLDS_S,
    KEYS_S,
    REFUSED_S,
    UNKNOWN_KEY_S,
    ClusterIdentity,
    IdentitySettings,
    IdentityUnusable,
    PublishedKeys,
    Reviews,
    authenticator,
    read_accounts,
)
from pilot_http.problems import Unauthenticated, Unavailable
from pilot_http.tokens import Trust
from prometheus_client import CollectorRegistry
from unit.http.api_server import ISSUER, FakeApiServer, new_key, serving

TRUST = Trust("pilot", "clients")
ACCOUNTS = {"clients/pilot-vqa-1": "vqa-1", "clients/pilot-vqa-2": "vqa-2", "elsewhere/pilot-vqa-1": "vqa-1"}
POD = "GET /api/v1/namespaces/clients/pods/pod-1"


class Clock:
    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


class World:
    """An API server with one client's pod in it, and somebody who has to tell who calls."""

    def __init__(self, fake: FakeApiServer, place: Place, mode: str):
        self.fake, self.mode, self.clock, self.accounts = fake, mode, Clock(), dict(ACCOUNTS)
        self.server = ApiServer(place)
        believe = Reviews(self.server, TRUST)
        if mode == "jwks":
            believe = PublishedKeys(self.server, TRUST, clock=self.clock)
        keys = {"pilot_operator": Principal("operator")}.get
        self.identity = ClusterIdentity(keys, lambda: self.accounts, self.server, TRUST, believe, self.clock)
        fake.add_pod()

    def who(self, token):
        return asyncio.run(self.identity(token))

    def why_not(self, token):
        with pytest.raises(Unauthenticated) as caught:
            self.who(token)
        return caught.value.detail

    def asked(self, what):
        return self.fake.asked.count(what)


@pytest.fixture(params=["jwks", "token-review"])
def world(request, tmp_path):
    with serving(tmp_path) as (fake, place):
        made = World(fake, place, request.param)
        yield made
        made.server.close()


@pytest.fixture
def jwks(tmp_path):
    with serving(tmp_path) as (fake, place):
        made = World(fake, place, "jwks")
        yield made
        made.server.close()


# -- who is believed


def test_a_client_speaks_from_its_pod_for_the_run_of_the_pod(world):
    found = world.who(world.fake.token())
    assert (str(found), found.run) == ("client:vqa-1", RunOfPod("t", "run-1"))


def test_keys_are_good_beside_tokens_and_nobody_is_asked(world):
    assert world.who("pilot_operator") == Principal("operator")
    assert world.who("pilot_nobody") is None
    assert world.fake.asked == []


def test_a_client_that_is_added_later_is_known_at_once(world):
    world.fake.add_pod("pod-9", uid="uid-9", client="cap-1")
    token = world.fake.token(account="clients/pilot-cap-1", pod="pod-9", pod_uid="uid-9")
    assert "stands for no client" in world.why_not(token)
    world.accounts["clients/pilot-cap-1"] = "cap-1"
    world.clock.seconds += REFUSED_S
    assert str(world.who(token)) == "client:cap-1"


# -- who is not, and why

HOUR = 3600
REFUSED = {
    "another audience": (lambda f: f.token(aud=["https://kubernetes.default.svc"]), "not for 'pilot'"),
    "no audience": (lambda f: f.token(aud=None), "not for 'pilot'"),
    "expired": (lambda f: f.token(exp=int(time.time()) - HOUR), "expired"),
    "not yet": (lambda f: f.token(nbf=int(time.time()) + HOUR), "not yet valid"),
    "another issuer": (lambda f: f.token(iss="https://evil.example"), "issuer"),
    "no signature": (lambda f: f.unsigned(), "signed with 'none'"),
    "HS256 with the public key": (lambda f: f.signed_with_the_public_key(), "signed with 'HS256'"),
    "another key of the same name": (lambda f: f.token(key=new_key()), "signature"),
    "a key that nobody published": (lambda f: f.token(kid="other", key=new_key()), "'other'"),
    "claims of another token": (
        lambda f: ".".join(f.token(pod="x").split(".")[:2] + f.token().split(".")[2:]),
        "signature",
    ),
    "another namespace": (lambda f: f.token(account="elsewhere/pilot-vqa-1"), "is not of the namespace clients"),
    "an account of nobody": (lambda f: f.token(account="clients/default"), "stands for no client"),
    "a person": (lambda f: f.token(sub="system:admin"), "is no ServiceAccount"),
    "a subject that pretends": (lambda f: f.token(sub="x:system:serviceaccount:clients:pilot-vqa-1"), "no ServiceA"),
    "no pod": (lambda f: f.token(pod=None), "is not bound to a pod"),
    "a pod that is gone": (lambda f: f.token(pod="pod-2"), "gone"),
    "another pod of that name": (lambda f: f.token(pod_uid="uid-0"), "gone"),
    "no token": (lambda f: "a.b.c", "cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_token_is_refused_with_the_reason(world, case, caplog):
    make, said = REFUSED[case]
    with caplog.at_level(logging.WARNING, "pilot_http.identity"):
        refused = world.why_not(make(world.fake))
    reason = {"jwks": said}.get(world.mode, "the API server refuses it") if case in REVIEWED else said
    assert reason in refused
    assert refused.removeprefix("the ServiceAccount token was refused: ") in caplog.text


REVIEWED = {
    "expired",
    "not yet",
    "another issuer",
    "another key of the same name",
    "a key that nobody published",
    "claims of another token",
    "a pod that is gone",
    "another pod of that name",
}
"""With `token-review` the API server finds these out, in its own words."""


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"client": "vqa-2"}, "is not labelled pilot.federated/client: vqa-1"),
        ({"client": None}, "is not labelled pilot.federated/client: vqa-1"),
        ({"run": None}, "made for no run"),
        ({"run_uid": None}, "made for no run"),
    ],
)
def test_a_pod_that_was_not_made_for_the_client_and_a_run_is_refused(world, labels, said):
    world.fake.add_pod(**labels)
    assert said in world.why_not(world.fake.token())


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf", "iss"])
def test_a_token_without_what_every_token_has_is_refused(jwks, claim):
    assert f'"{claim}" claim' in jwks.why_not(jwks.fake.token(**{claim: None}))


@pytest.mark.parametrize("audiences", [[], ["another"]])
def test_a_review_that_vouches_for_no_audience_of_ours_is_not_enough(tmp_path, audiences):
    with serving(tmp_path) as (fake, place):
        world = World(fake, place, "token-review")
        fake.audiences = audiences
        assert f"vouches for {audiences}, not for 'pilot'" in world.why_not(fake.token())
        world.server.close()


# -- for how long


def test_what_was_found_holds_for_a_minute_and_a_deleted_pod_no_longer(world):
    token = world.fake.token()
    world.who(token)
    before = len(world.fake.asked)
    world.fake.pods.clear()
    world.clock.seconds += HOLDS_S - 1
    assert str(world.who(token)) == "client:vqa-1"
    assert len(world.fake.asked) == before
    world.clock.seconds += 1
    assert "gone" in world.why_not(token)


def test_it_holds_no_longer_than_the_token(world):
    token = world.fake.token(exp=int(time.time()) + 30)
    world.who(token)
    world.fake.pods.clear()
    world.clock.seconds += 31
    assert "gone" in world.why_not(token)


def test_a_refused_token_costs_the_api_server_one_question_in_a_while(world):
    token = world.fake.token(pod="pod-2")
    world.why_not(token)
    before = len(world.fake.asked)
    world.why_not(token)
    assert len(world.fake.asked) == before
    world.clock.seconds += REFUSED_S
    world.why_not(token)
    assert len(world.fake.asked) > before


def test_what_is_not_meant_for_us_costs_no_question(world):
    for token in (world.fake.token(aud=["x"]), world.fake.token(account="clients/other"), world.fake.unsigned()):
        world.why_not(token)
    assert world.fake.asked == []


def test_keys_are_asked_for_once_and_again_when_they_are_old(jwks):
    for _ in range(3):
        jwks.who(jwks.fake.token(jti=str(time.perf_counter())))
    assert (jwks.asked(f"GET {KEYS}"), jwks.asked(f"GET {DISCOVERY}")) == (1, 1)
    jwks.clock.seconds += KEYS_S + 1
    jwks.fake.keys = {"second": new_key()}
    assert "no key 'first'" in jwks.why_not(jwks.fake.token(key=new_key()))
    assert jwks.asked(f"GET {KEYS}") == 2


def test_a_new_key_is_learned_and_unknown_ones_are_asked_for_seldom(jwks):
    jwks.who(jwks.fake.token())
    jwks.fake.keys["second"] = new_key()
    jwks.clock.seconds += UNKNOWN_KEY_S + 1
    assert str(jwks.who(jwks.fake.token("second"))) == "client:vqa-1"
    for kid in "abcdef":
        jwks.why_not(jwks.fake.token(kid, key=new_key()))
    assert jwks.asked(f"GET {KEYS}") == 2


def test_an_issuer_that_is_given_is_the_one_that_counts(tmp_path):
    with serving(tmp_path) as (fake, place):
        server = ApiServer(place)
        fake.add_pod()
        believe = PublishedKeys(server, TRUST, issuer="https://another.example")
        identity = ClusterIdentity(lambda _: None, lambda: ACCOUNTS, server, TRUST, believe)
        with pytest.raises(Unauthenticated, match="issuer"):
            asyncio.run(identity(fake.token(iss=ISSUER)))
        assert asyncio.run(identity(fake.token(iss="https://another.example", jti="2"))).client == "vqa-1"
        server.close()


# -- an API server that does not answer


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_when_nobody_can_tell_the_caller_is_asked_to_try_again(world, status):
    world.fake.refuses = status
    token = world.fake.token()
    with pytest.raises(Unavailable, match=f"answers {status} to"):
        world.who(token)
    world.fake.refuses = 0
    assert str(world.who(token)) == "client:vqa-1"


def test_an_api_server_that_is_away_is_named(tmp_path):
    (tmp_path / "token").write_text("x")
    server = ApiServer(Place("http://127.0.0.1:1", None, tmp_path / "token"))
    with pytest.raises(Unavailable, match=r"cannot be asked who calls: .*refused"):
        server.keys()
    server.close()


def test_who_asks_shows_the_token_as_it_is_now(world, tmp_path):
    (tmp_path / "token").write_text("rotated away")
    with pytest.raises(Unavailable, match="answers 401"):
        world.who(world.fake.token())


# -- on a service


@pytest.fixture
def app(world):
    policy = {
        ("GET", "/runs/{run}/clients/{client}"): frozenset({"client"}),
        ("GET", "/files"): frozenset({"anyone"}),
    }
    made = build(
        service="registry",
        title="a service",
        authenticate=world.identity,
        policy=policy,
        metrics=CollectorRegistry(),
        ready=lambda: None,
        hosts=["service"],
    )

    def who(caller: Caller) -> str:
        return str(caller)

    for _, path in policy:
        made.add_api_route(path, who)
    return made


def ask(app, path, token):
    async def drive():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get(path, headers={"Authorization": f"Bearer {token}"})

    return asyncio.run(drive())


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/runs/t/clients/vqa-1", 200),
        ("/runs/t/clients/vqa-2", 403),
        ("/runs/u/clients/vqa-1", 403),
        ("/files?uid=run-1", 200),
        ("/files?uid=run-2", 403),
        ("/files?uid=run-1&uid=run-2", 403),
        ("/files", 200),
    ],
)
def test_a_pod_acts_for_its_own_client_and_run_only(app, world, path, status):
    assert ask(app, path, world.fake.token()).status_code == status


def test_a_refused_token_is_401_with_its_reason_and_trouble_with_the_api_server_503(app, world):
    refused = ask(app, "/files", world.fake.token(aud=["x"]))
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    assert "not for 'pilot'" in refused.json()["detail"]
    world.fake.refuses = 500
    assert ask(app, "/files", world.fake.token()).status_code == 503


# -- settings


def test_without_a_word_only_keys_count(tmp_path):
    (tmp_path / "keys.yaml").write_text("keys: []\n")
    assert authenticator(IdentitySettings(), tmp_path / "keys.yaml")("a.b.c") is None


@pytest.mark.parametrize("mode", ["jwks", "token-review"])
def test_a_mode_that_lacks_its_settings_is_refused(mode):
    with pytest.raises(ValueError, match=f"AUTH_MODE={mode} needs AUTH_SERVICE_ACCOUNTS and AUTH_NAMESPACE"):
        IdentitySettings(auth_mode=mode)


@pytest.mark.parametrize("keys", ["keys: 1", "keys: [", None])
def test_keys_that_cannot_be_used_are_one_sentence_at_the_start(tmp_path, keys):
    file = tmp_path / "keys.yaml"
    if keys:
        file.write_text(keys)
    with pytest.raises(IdentityUnusable, match="nobody could tell who calls"):
        authenticator(IdentitySettings(), file)


def test_outside_a_pod_there_is_no_api_server(tmp_path):
    with pytest.raises(ValueError, match="KUBERNETES_SERVICE_HOST names none"):
        Place.of_this_pod({})
    assert Place.of_this_pod({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}).url == (
        "https://[fd00::1]:443"
    )


def test_accounts_are_read_as_the_chart_writes_them(tmp_path):
    file = tmp_path / "identities.yaml"
    file.write_text("clients/pilot-vqa-1: client:vqa-1\nclients/pilot-base: client:base\n")
    assert read_accounts(file) == {"clients/pilot-vqa-1": "vqa-1", "clients/pilot-base": "base"}


@pytest.mark.parametrize(
    "text", ["clients/x: admin", "x: client:vqa-1", "[1]", "clients/x: 'client:'", "a/b/c: client:x"]
)
def test_an_account_that_stands_for_more_than_a_client_is_refused(tmp_path, text):
    (tmp_path / "identities.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"client:NAME|is no principal"):
        read_accounts(tmp_path / "identities.yaml")


def test_reviews_are_asked_at_the_api_server(tmp_path):
    with serving(tmp_path) as (fake, place):
        world = World(fake, place, "token-review")
        world.who(fake.token())
        assert fake.asked == [f"POST {REVIEWS}", POD]
        world.server.close()
