"""Quarantine: what is held, what was flagged lately, what was refused; and the verdict of a person."""

from urllib.parse import urlencode

import pytest
from pilot_proto.plan import GateCheck, GivenVerdict, LedgerEntry
from pilot_proto.run import Condition, RunPage
from pilot_registry import rejections
from pilot_registry.ui.views.held import awaiting, held_round
from unit.registry.published import plan_of, publish
from unit.registry.ui.fake_aggregator import after, client_status, round_document, run_view
from unit.registry.ui.html import page, read
from unit.registry.ui.test_rounds import refuse
from unit.registry.ui.test_signing import cookie_of, sign_in, with_cookie
from unit.registry.world import World

POSTED = {
    "Sec-Fetch-Site": "same-origin",
    "Accept": "text/html",
    "Content-Type": "application/x-www-form-urlencoded",
}
PLACE = "ui/quarantine"
WAITS = (Condition(type="AwaitingVerdict", reason="AwaitingVerdict", message="vqa-2"),)
VALUES = {"cap-1": 1.0, "vqa-1": 1.0, "vqa-2": 25.0}
NORMS = GateCheck(kind="text", mark="norm_outlier", values=VALUES, median=1.0, limit=10.0, flagged=("vqa-2",))
QUIET = GateCheck(kind="text", mark="suspicious", values={"vqa-1": 2.0, "vqa-2": 2.0})


def waiting(aggregator, *verdicts: GivenVerdict, gate=(NORMS, QUIET), name="digits") -> None:
    """A run whose second round waits for somebody."""
    clients = (client_status("vqa-2", state="Held", progress=None),)
    view = run_view(name, phase="Merging", conditions=WAITS, clients=clients)
    aggregator.tell("runs", RunPage(items=(view, run_view("other"))))
    aggregator.tell_round(round_document(2, run=name, state="Sealed", gate=gate, verdicts=verdicts), view=view)


def verdict(who: str, world: World, **form: str):
    place = "//ui/runs/digits/rounds/2/clients/vqa-2/verdict"
    return world.call(who, "POST", place, headers=POSTED, content=urlencode(form))


# -- held


def test_what_is_held_stands_with_its_value_its_limit_and_its_peers(world: World, aggregator):
    waiting(aggregator)
    answer = world.call("operator", "GET", f"//{PLACE}", headers={"Accept": "text/html"})
    made = read(answer.text)
    for words in ("digits, round 2", "vqa-2", "norm_outlier", "25 against a limit of 10, 25 times the median"):
        assert words in made.text, words
    assert answer.text.count('class="in"') == 2
    assert "post /ui/runs/digits/rounds/2/clients/vqa-2/verdict" in made.actions
    assert aggregator.calls[0][1] == "runs?active=true&limit=200"


def test_only_runs_that_wait_are_looked_at_closer(world: World, aggregator):
    waiting(aggregator)
    page(world, "operator", PLACE)
    assert not [call for call in aggregator.calls if "other" in call[1]]


def test_of_what_has_been_decided_nothing_is_held(world: World, aggregator):
    waiting(aggregator, GivenVerdict(client="vqa-2", verdict="drop", reason="odd", by="operator", at=after(1)))
    text = page(world, "operator", PLACE).text
    assert "norm_outlier" not in text.partition("Flagged lately")[0]


def test_where_nothing_is_held_it_says_how_something_would_be(world: World, aggregator):
    aggregator.tell("runs", RunPage(items=()))
    text = page(world, "operator", PLACE).text
    assert "Nothing waits for you" in text
    assert "on_flag: hold" in text


def test_more_rounds_than_fit_stand_as_links(world: World, aggregator):
    views = tuple(run_view(f"r{i}", phase="Merging", conditions=WAITS) for i in range(10))
    for view in views:
        name = view.metadata["name"]
        aggregator.tell_round(round_document(2, run=name, state="Sealed", gate=(NORMS,)), view=view)
    aggregator.tell("runs", RunPage(items=views))
    made = page(world, "operator", PLACE)
    assert len([action for action in made.actions if action.endswith("/verdict")]) == 8
    assert "More wait:" in made.text
    assert "/ui/runs/r9/rounds/2" in made.links


def test_while_the_aggregator_is_away_nothing_can_be_decided(world: World, aggregator):
    waiting(aggregator)
    page(world, "operator", PLACE)
    aggregator.away = True
    made = page(world, "operator", PLACE)
    assert "this is what it last said" in made.text
    assert "vqa-2" in made.text
    assert not [action for action in made.actions if action.endswith("/verdict")]


def test_without_the_aggregator_the_registrys_own_part_is_shown(world: World, aggregator):
    refuse(world)
    aggregator.away = True
    text = page(world, "operator", PLACE).text
    assert "What is held now cannot be shown" in text
    assert "the file holds NaN" in text


@pytest.mark.parametrize("check", [NORMS.model_copy(update={"median": 0.0, "limit": 0.0}), QUIET])
def test_strange_checks_can_be_shown(check):
    found = held_round(run_view(conditions=WAITS), round_document(2, gate=(NORMS, check)), {})
    assert found.updates[0].seen[0].times == 25.0


def test_a_run_without_the_condition_waits_for_nobody():
    assert awaiting([run_view(), run_view(conditions=(Condition(type="Paused", reason="Paused"),))]) == []


# -- the verdict


@pytest.mark.parametrize(("word", "told"), [("count", "counts now"), ("drop", "is left out")])
def test_a_verdict_is_given_with_its_reason_as_whoever_gives_it(world: World, aggregator, word, told):
    aggregator.tell("runs/digits/rounds/2/clients/vqa-2/verdict", run_view())
    answer = verdict("operator", world, verdict=word, reason=" looked at its data ")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"/{PLACE}?done=")
    assert told.replace(" ", "+") in answer.headers["location"]
    body = {"verdict": word, "reason": "looked at its data"}
    assert aggregator.calls[-1] == ("POST", "runs/digits/rounds/2/clients/vqa-2/verdict", "operator", body)


def test_what_the_aggregator_refuses_is_told_in_its_words(world: World, aggregator):
    aggregator.tell("runs/digits/rounds/2/clients/vqa-2/verdict", 409)
    answer = verdict("operator", world, verdict="drop", reason="x")
    assert answer.status_code == 409
    assert "no runs/digits/rounds/2/clients/vqa-2/verdict" in read(answer.text).text


def test_quarantine_is_for_operators(world: World, aggregator):
    waiting(aggregator)
    page(world, "viewer", PLACE, status=403)
    assert verdict("viewer", world, verdict="count", reason="x").status_code == 403
    assert not [call for call in aggregator.calls if call[0] == "POST"]
    assert f"/{PLACE}" not in page(world, "viewer", "ui/runs").links
    assert f"/{PLACE}" in page(world, "operator", "ui/runs").links


@pytest.mark.parametrize("what", ["clients/vqa-2/verdict", "verify"])
def test_a_page_elsewhere_can_do_nothing_in_a_readers_name(world: World, aggregator, what):
    cookie = cookie_of(sign_in(world, "operator"))
    answer = with_cookie(world, "POST", f"ui/runs/digits/rounds/2/{what}", cookie, **{"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "cross_site" in answer.text
    assert aggregator.calls == []


# -- flagged, and refused


def flagged_round(world: World, round_: int = 1) -> None:
    world.answer("vqa-1", round_, seed=round_)
    world.seal(round_)
    marked = LedgerEntry(
        client="vqa-1", task="vqa", answered=True, counted=False, reason="Refused", flags=("norm_outlier",)
    )
    publish(world, round_, plan=plan_of(world, round_), entries=(marked,))


def test_what_was_flagged_lately_is_told_from_published_ledgers(world: World, aggregator):
    aggregator.tell("runs", RunPage(items=()))
    flagged_round(world)
    made = page(world, "operator", PLACE)
    for words in ("norm_outlier", "left out", "Refused", "a person refused it", "in the 20 rounds"):
        assert words in made.text, words
    assert "/ui/runs/digits/rounds/1?outcome=flagged" in made.links


@pytest.mark.parametrize(
    ("query", "rounds"),
    [
        ("", [3, 2, 1]),
        ("run=digits", [3, 2, 1]),
        ("run=other", []),
        ("client=vqa-2", [2]),
        ("client=vqa-1&code=non_finite", [3, 1]),
        ("code=corrupt", []),
        ("limit=2", [3, 2]),
        ("run=&client=&code=", [3, 2, 1]),
    ],
)
def test_refused_uploads_are_filtered_and_paged(world: World, aggregator, query, rounds):
    aggregator.tell("runs", RunPage(items=()))
    for number, client in enumerate(("vqa-1", "vqa-2", "vqa-1"), 1):
        refuse(world, client, number)
    found = world.call("operator", "GET", f"//{PLACE}?format=json&{query}").json()
    assert [each["round"] for each in found["refused"]] == rounds
    told = world.call("operator", "GET", f"/rejections?{'&'.join(p for p in query.split('&') if p[-1:] != '=')}").json()
    assert [each["round"] for each in told["items"]] == rounds


def test_the_next_page_of_refused_uploads_keeps_the_filter(world: World, aggregator):
    aggregator.tell("runs", RunPage(items=()))
    for number in range(1, 4):
        refuse(world, "vqa-1", number)
    made = page(world, "operator", f"{PLACE}?client=vqa-1&limit=2")
    (following,) = [link for link in made.links if "cursor=" in link]
    assert following.startswith(f"/{PLACE}?client=vqa-1&limit=2&cursor=")
    text = page(world, "operator", following[1:]).text
    assert "digits, round 1" in text
    assert "digits, round 3" not in text


def test_rejections_can_be_asked_for_by_round(world: World):
    for number in (1, 2):
        refuse(world, "vqa-1", number)
    found = rejections.page(world.app.state.registry, rejections.Wanted(run="digits", round=2), 10, None)
    assert [each.round for each in found.items] == [2]
    told = world.call("operator", "GET", "/rejections?round=1").json()
    assert [each["round"] for each in told["items"]] == [1]


def test_quarantine_is_also_json(world: World, aggregator):
    waiting(aggregator)
    found = world.call("operator", "GET", f"//{PLACE}?format=json").json()
    assert found["held"][0]["updates"][0]["client"] == "vqa-2"
    assert found["held"][0]["strips"][0]["mark"] == "norm_outlier"


def test_hostile_words_stay_words(world: World, aggregator):
    evil = "\N{RIGHT-TO-LEFT OVERRIDE}<script>alert(1)</script>" + "x" * 3000
    aggregator.tell("runs", RunPage(items=()))
    refuse(world, message=evil)
    answer = world.call("operator", "GET", f"//{PLACE}?client=%3Cscript%3E", headers={"Accept": "text/html"})
    assert "<script>alert" not in answer.text
    answer = world.call("operator", "GET", f"//{PLACE}", headers={"Accept": "text/html"})
    assert "<script>alert" not in answer.text
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in answer.text
    read(answer.text)
