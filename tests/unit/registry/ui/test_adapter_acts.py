"""What may be done to an adapter: aliases with their conditions, releases, deletion."""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from pilot_proto.run import RunPage
from unit.registry.merged import Merged, merged
from unit.registry.ui.fake_aggregator import run_view
from unit.registry.ui.html import page, read
from unit.registry.world import UID, World

REPO = "digits/client-vqa-1-connector"
POSTED = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Sec-Fetch-Site": "same-origin",
    "Accept": "text/html",
}


@pytest.fixture
def made(world: World, aggregator) -> Merged:
    aggregator.tell("runs", RunPage(items=()))
    return merged(world)


def commits(made: Merged) -> tuple[str, str]:
    return made.commit("client-vqa-1-connector", 1), made.commit("client-vqa-1-connector", 2)


def post(world: World, act: str, who: str = "operator", repo: str = REPO, **form: str):
    return world.call(who, "POST", f"//ui/adapters/{repo}/{act}", content=urlencode(form), headers=POSTED)


def alias_of(world: World, alias: str = "best") -> str | None:
    items = world.call("viewer", "GET", f"/adapters/{REPO}/aliases").json()["items"]
    return next((item["commit"] for item in items if item["alias"] == alias), None)


def test_an_alias_is_set_and_moved_from_where_the_page_saw_it(world: World, made: Merged):
    first, second = commits(made)
    answer = post(world, "alias", alias="best", commit=first, at="")
    assert answer.status_code == 303
    assert parse_qs(urlsplit(answer.headers["location"]).query) == {
        "rev": [first],
        "done": [f"best points to {first[:12]}."],
    }
    html = world.call("operator", "GET", f"//ui/adapters/{REPO}?rev={second}").text
    assert f'name="alias" value="best"><input type="hidden" name="commit" value="{second}">' in html
    assert f'name="at" value="{first}"' in html
    assert post(world, "alias", alias="best", commit=second, at=first).status_code == 303
    assert alias_of(world) == second


@pytest.mark.parametrize("at", ["", "0" * 40])
def test_who_comes_second_learns_what_moved_and_may_go_on(world: World, made: Merged, at: str):
    first, second = commits(made)
    post(world, "alias", who="admin", alias="best", commit=first, at="")
    answer = post(world, "alias", alias="best", commit=second, at=at)
    assert answer.status_code == 412
    told = read(answer.text)
    assert first[:12] in told.text
    assert "by admin" in told.text
    assert f"/ui/adapters/{REPO}?rev={first}" in told.links
    assert alias_of(world) == first
    assert f'name="at" value="{first}"' in answer.text
    assert post(world, "alias", alias="best", commit=second, at=first).status_code == 303


def test_an_alias_that_is_gone_is_told_as_gone(world: World, made: Merged):
    answer = post(world, "alias", alias="best", commit=commits(made)[0], at=commits(made)[1])
    assert answer.status_code == 412
    assert "there is no such alias" in read(answer.text).text


@pytest.mark.parametrize(
    ("alias", "status", "code"), [("main", 409, "reserved_alias"), ("Best", 422, "invalid"), ("", 422, "invalid")]
)
def test_names_that_cannot_be_aliases_are_refused_with_the_rule(world: World, made: Merged, alias, status, code):
    answer = post(world, "alias", alias=alias, commit=commits(made)[0], at="")
    assert answer.status_code == status
    assert code in read(answer.text).text


def test_a_release_is_kept_and_shown(world: World, made: Merged):
    first, _ = commits(made)
    answer = post(world, "release", name="good", commit=first)
    assert answer.headers["location"].startswith("/ui/adapters/released/good?rev=")
    text = page(world, "viewer", answer.headers["location"][1:]).text
    assert "released/good is kept" in text
    assert "a release" in text
    again = post(world, "release", name="good", commit=first)
    assert "was+kept+before" in again.headers["location"]
    assert post(world, "release", name="Not good", commit=first).status_code == 422


def test_deleting_shows_what_stands_on_it_and_asks_for_the_name(world: World, made: Merged):
    first, _ = commits(made)
    shown = page(world, "admin", f"ui/adapters/{REPO}?tab=delete&rev={first}")
    assert f"post /ui/adapters/{REPO}/delete" in shown.actions
    assert "client-vqa-1-update" in shown.text
    for name in ("", "digits/other"):
        answer = post(world, "delete", "admin", name=name, commit=first)
        assert answer.status_code == 422
        assert "nothing was deleted" in read(answer.text).text
    answer = post(world, "delete", "admin", name=REPO, commit=first)
    assert answer.status_code == 303
    text = page(world, "admin", answer.headers["location"][1:]).text
    assert "its record stays" in text
    assert "was deleted at" in text


def test_what_is_needed_has_no_form_and_is_refused_all_the_same(world: World, aggregator, made: Merged):
    aggregator.tell("runs", RunPage(items=(run_view(uid=UID),)))
    second = commits(made)[1]
    shown = page(world, "admin", f"ui/adapters/{REPO}?tab=delete&rev={second}")
    assert "run digits has not ended and hands it out" in shown.text
    assert f"post /ui/adapters/{REPO}/delete" not in shown.actions
    answer = post(world, "delete", "admin", name=REPO, commit=second)
    assert answer.status_code == 409
    assert "run digits has not ended" in read(answer.text).text


def test_while_the_aggregator_is_away_nothing_can_be_deleted_and_the_page_says_why(world: World, aggregator, made):
    aggregator.away = True
    shown = page(world, "admin", f"ui/adapters/{REPO}?tab=delete", status=503)
    assert "aggregator" in shown.text
    assert post(world, "delete", "admin", name=REPO, commit=commits(made)[0]).status_code == 503


FORMS = {"viewer": set(), "operator": {"alias", "release"}, "admin": {"alias", "release"}}


@pytest.mark.parametrize("who", FORMS)
def test_only_what_would_not_be_refused_is_offered(world: World, made: Merged, who: str):
    first, _ = commits(made)
    shown = page(world, who, f"ui/adapters/{REPO}?rev={first}")
    offered = {action.rpartition("/")[2] for action in shown.actions if action.startswith(f"post /ui/adapters/{REPO}")}
    assert offered == FORMS[who]
    assert any("tab=delete" in link for link in shown.links) == (who == "admin")
    for act in ("alias", "release", "delete"):
        allowed = act in FORMS[who] or (act == "delete" and who == "admin")
        answer = post(world, act, who, commit=first, at="", alias="best", name="good")
        assert (answer.status_code == 403) == (not allowed), act


def test_a_deleted_version_offers_nothing(world: World, made: Merged):
    first, _ = commits(made)
    post(world, "delete", "admin", name=REPO, commit=first)
    shown = page(world, "admin", f"ui/adapters/{REPO}?rev={first}")
    assert not [action for action in shown.actions if REPO in action]
    assert not any("tab=delete" in link for link in shown.links)


def test_a_form_from_elsewhere_changes_nothing(world: World, made: Merged):
    from unit.registry.ui.test_signing import cookie_of, sign_in, with_cookie

    cookie = cookie_of(sign_in(world, "operator"))
    form = urlencode({"alias": "best", "commit": commits(made)[0], "at": ""})
    headers = {**POSTED, "Cookie": f"pilot_session={cookie}", "Authorization": "", "Sec-Fetch-Site": "cross-site"}
    answer = world.call("", "POST", f"//ui/adapters/{REPO}/alias", content=form, headers=headers)
    assert answer.status_code == 403
    assert alias_of(world) is None
    assert with_cookie(world, "GET", f"ui/adapters/{REPO}", cookie).status_code == 200
