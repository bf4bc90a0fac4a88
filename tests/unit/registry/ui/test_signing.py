"""Signing in with a key, what the cookie is good for, and what it is not."""

import pytest
from pilot_registry.ui.pages.signing import ours
from pilot_registry.ui.signins import COOKIE, SignIns
from unit.registry.ui.html import page
from unit.registry.world import World, app_in, problem

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}


def sign_in(world: World, key: str, **headers: str):
    return world.call("", "POST", "//ui/login", content=f"key={key}&next=/ui/runs", headers={**FORM, **headers})


def cookie_of(answer) -> str:
    return answer.headers["set-cookie"].partition(";")[0].partition("=")[2]


def with_cookie(world: World, method: str, path: str, cookie: str, **headers: str):
    sent = {"Cookie": f"{COOKIE}={cookie}", "Authorization": "", **headers}
    return world.call("", method, f"//{path}", headers=sent)


def test_who_has_not_signed_in_is_led_to_the_form_and_back(world: World):
    answer = world.call("", "GET", "//ui/runs?phase=Failed", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/login?next=/ui/runs%3Fphase%3DFailed")
    form = world.call("", "GET", "//ui/login?next=/ui/runs%3Fphase%3DFailed")
    assert 'value="/ui/runs?phase=Failed"' in form.text
    assert world.call("", "GET", "//ui", headers={"Accept": "application/json"}).status_code == 401


def test_a_key_opens_the_pages_and_stays_sealed(world: World):
    answer = sign_in(world, "viewer")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/runs")
    assert "httponly" in answer.headers["set-cookie"].lower()
    cookie = cookie_of(answer)
    assert "viewer" not in cookie
    assert with_cookie(world, "GET", "ui/login", cookie).status_code == 200
    assert with_cookie(world, "GET", "api/v1alpha1/adapters", cookie).status_code == 200


def test_a_cookie_changes_nothing_through_the_api(world: World):
    cookie = cookie_of(sign_in(world, "admin"))
    answer = with_cookie(world, "POST", "api/v1alpha1/admin/gc", cookie, **{"Sec-Fetch-Site": "same-origin"})
    assert problem(answer) == (401, "unauthenticated")


def test_a_page_elsewhere_can_do_nothing_with_the_cookie(world: World, aggregator):
    cookie = cookie_of(sign_in(world, "operator"))
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://elsewhere"}, {}):
        answer = with_cookie(world, "POST", "ui/runs/digits/cancel", cookie, Accept="text/html", **headers)
        assert answer.status_code == 403
        assert "cross_site" in answer.text
    assert not aggregator.calls


def test_nobody_can_sign_a_reader_in_from_elsewhere(world: World):
    assert sign_in(world, "viewer", **{"Sec-Fetch-Site": "cross-site"}).status_code == 403


@pytest.mark.parametrize(
    ("key", "word"), [("wrong", "Nobody has this key"), ("", "Nobody has this key"), ("client:vqa-1", "is no person")]
)
def test_a_key_of_nobody_or_of_no_person_is_refused_with_the_form(world: World, key: str, word: str):
    answer = sign_in(world, key)
    assert answer.status_code == 401
    assert word in answer.text
    assert 'value="/ui/runs"' in answer.text


def test_signing_out_forgets_the_key(world: World):
    cookie = cookie_of(sign_in(world, "viewer"))
    answer = with_cookie(world, "POST", "ui/logout", cookie, **{"Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/login")
    assert "Max-Age=0" in answer.headers["set-cookie"]


def test_a_session_outlives_a_restart_and_ends_with_its_time(tmp_path):
    file = tmp_path / "signins.key"
    first, second = SignIns(file, 100), SignIns(file, 100)
    assert (file.stat().st_mode & 0o777) == 0o600
    sealed = first._seal.encrypt(b"key").decode()
    assert second.key_in(sealed) == "key"
    old = first._seal.encrypt_at_time(b"key", 0).decode()
    assert first.key_in(old) is None
    assert SignIns(tmp_path / "other.key", 100).key_in(sealed) is None
    assert first.key_in("not sealed") is None


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ("/ui/runs?x=1", True),
        ("//elsewhere/ui", False),
        ("https://elsewhere/ui", False),
        ("/api", False),
        ("\\\\elsewhere", False),
        ("/ui\r\nSet-Cookie: x", False),
    ],
)
def test_nobody_is_sent_elsewhere(place: str, kept: bool):
    assert ours(place) == (place if kept else "/ui")


def test_the_login_page_needs_nothing_from_outside(tmp_path):
    world = World(app_in(tmp_path / "registry"))
    made = page(world, "", "ui/login")
    for asset in made.assets:
        answer = world.call("", "GET", f"/{asset}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert world.call("", "GET", "//ui/static/style.css").status_code == 404
    assert world.call("", "GET", "//ui/static/../settings.py").status_code == 404
