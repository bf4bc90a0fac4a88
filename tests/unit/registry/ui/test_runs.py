"""Home, the list of runs, and a run's page: what they show to whom, and what they show while the aggregator is away."""

import pytest
from pilot_proto.run import Condition, RunPage
from unit.registry.ui.fake_aggregator import client_status, outline, run_view
from unit.registry.ui.html import page, read
from unit.registry.world import World

POSTED = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


def test_an_empty_registry_says_which_three_commands_lead_to_a_round(tmp_path):
    from unit.registry.ui.fake_aggregator import FakeAggregator
    from unit.registry.world import app_in

    world = World(app_in(tmp_path / "registry"))
    aggregator = FakeAggregator()
    aggregator.tell("runs", RunPage(items=()))
    world.app.state.aggregator = aggregator.connected()
    text = page(world, "viewer", "ui").text
    assert all(command in text for command in ("pilot validate", "pilot run", "pilot describe round"))


def test_home_shows_what_runs_what_was_merged_and_how_everything_is(world: World, aggregator):
    aggregator.tell("runs", RunPage(items=(run_view(),)))
    aggregator.tell("version", {"service": "aggregator", "version": "9.9"})
    text = page(world, "viewer", "ui").text
    assert "Training" in text
    assert "digits, round 0" in text
    assert "9.9" in text
    assert "Refused in the last day" not in text
    assert "Refused in the last day" in page(world, "operator", "ui").text


def test_every_page_is_also_json(world: World, aggregator):
    aggregator.tell_run(run_view(), rounds=2)
    for path in ("ui", "ui/runs", "ui/runs/digits"):
        by_query = world.call("viewer", "GET", f"//{path}?format=json")
        by_header = world.call("viewer", "GET", f"//{path}", headers={"Accept": "application/json"})
        assert by_query.json()["title"] == by_header.json()["title"]


def test_runs_are_filtered_and_paged_by_the_query_of_the_api(world: World, aggregator):
    aggregator.tell("runs", RunPage(items=(run_view(),), next="abc"))
    made = page(world, "viewer", "ui/runs?phase=Training")
    assert aggregator.calls[-1][1] == "runs?limit=25&phase=Training"
    assert "/ui/runs?phase=Training&cursor=abc" in made.links
    page(world, "viewer", "ui/runs?phase=")
    assert aggregator.calls[-1][1] == "runs?limit=25"


def test_the_aggregator_is_asked_with_the_readers_own_key(world: World, aggregator):
    aggregator.tell("runs", RunPage(items=()))
    for who in ("viewer", "operator"):
        page(world, who, "ui/runs")
        assert aggregator.calls[-1][2] == who


def test_a_run_shows_its_clients_and_rounds(world: World, aggregator):
    clients = (
        client_status("vqa-1"),
        client_status("vqa-2", state="Failed", progress=None, message="non_finite: the file holds NaN"),
    )
    aggregator.tell_run(run_view(clients=clients), rounds=2)
    text = page(world, "viewer", "ui/runs/digits").text
    for words in ("3 of 10", "0.5", "1 min 30 s", "non_finite: the file holds NaN", "round 1", "3 of 3"):
        assert words in text, words


@pytest.mark.parametrize(
    ("who", "conditions", "phase", "offered"),
    [
        ("viewer", (), "Training", set()),
        ("operator", (), "Training", {"pause", "cancel"}),
        ("operator", ("Paused",), "Training", {"resume", "cancel"}),
        ("operator", ("AwaitingTrigger",), "Training", {"trigger", "pause", "cancel"}),
        ("operator", (), "Succeeded", set()),
    ],
)
def test_only_what_would_not_be_refused_has_a_button(world: World, aggregator, who, conditions, phase, offered):
    named = tuple(Condition(type=name, reason=name) for name in conditions)
    aggregator.tell_run(run_view(phase=phase, conditions=named))
    actions = page(world, who, "ui/runs/digits").actions
    verbs = ("trigger", "pause", "resume", "cancel")
    assert {verb for verb in verbs if f"post /ui/runs/digits/{verb}" in actions} == offered


def test_a_lost_client_can_be_asked_again_by_an_operator(world: World, aggregator):
    aggregator.tell_run(run_view(clients=(client_status(state="Lost", progress=None),)))
    retry = "post /ui/runs/digits/rounds/2/clients/vqa-1/retry"
    assert retry in page(world, "operator", "ui/runs/digits").actions
    assert retry not in page(world, "viewer", "ui/runs/digits").actions
    aggregator.tell("runs/digits/rounds/2/clients/vqa-1/retry", {})
    answer = world.call("operator", "POST", "//ui/runs/digits/rounds/2/clients/vqa-1/retry", headers=POSTED)
    assert answer.headers["location"].startswith("/ui/runs/digits?done=vqa-1")
    assert aggregator.calls[-1][0] == "POST"


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("pause", "pause", None),
        ("resume", "resume", None),
        ("cancel", "cancel", None),
        ("trigger", "rounds", {"through": 2}),
    ],
)
def test_a_button_does_it_at_the_aggregator_as_whoever_pressed_it(world: World, aggregator, verb, path, body):
    aggregator.tell_run(run_view())
    aggregator.tell(f"runs/digits/{path}", run_view())
    answer = world.call("operator", "POST", f"//ui/runs/digits/{verb}", headers=POSTED)
    assert answer.status_code == 303
    assert aggregator.calls[-1] == ("POST", f"runs/digits/{path}", "operator", body)
    assert world.call("viewer", "POST", f"//ui/runs/digits/{verb}", headers=POSTED).status_code == 403


def test_the_aggregator_is_told_that_a_request_came_from_our_own_page(world: World, aggregator):
    aggregator.tell("runs/digits/pause", run_view())
    world.call("operator", "POST", "//ui/runs/digits/pause", headers=POSTED)
    assert aggregator.heard[-1]["sec-fetch-site"] == "same-origin"


def test_what_the_aggregator_refuses_is_told_in_its_words(world: World, aggregator):
    aggregator.tell("runs/digits/pause", 409)
    answer = world.call("operator", "POST", "//ui/runs/digits/pause", headers=POSTED)
    assert answer.status_code == 409
    assert "no runs/digits/pause" in read(answer.text).text


def test_while_the_aggregator_is_away_runs_are_shown_as_they_were_last_seen(world: World, aggregator):
    aggregator.tell_run(run_view(), rounds=2)
    page(world, "viewer", "ui/runs/digits")
    page(world, "viewer", "ui/runs")
    aggregator.away = True
    for path in ("ui/runs/digits", "ui/runs"):
        text = page(world, "viewer", path).text
        assert "this is what it last said" in text
        assert "Training" in text


def test_what_was_remembered_for_one_role_is_not_shown_to_another(world: World, aggregator):
    aggregator.tell_run(run_view(), rounds=2)
    page(world, "operator", "ui/runs/digits")
    aggregator.away = True
    assert "This is what the adapters here tell" in page(world, "viewer", "ui/runs/digits").text


def test_a_run_that_was_never_seen_is_told_from_its_adapters(world: World, aggregator):
    aggregator.away = True
    made = page(world, "viewer", "ui/runs/digits")
    assert "/ui/runs/digits/rounds/0" in made.links
    assert "digits" in page(world, "viewer", "ui/runs").text
    assert page(world, "viewer", "ui/runs/nothing", status=503)


def test_a_run_that_does_not_exist_leads_to_one_of_a_similar_name(world: World, aggregator):
    made = page(world, "viewer", "ui/runs/digitz", status=404)
    assert "/ui/runs/digits" in made.links


def test_an_unexpected_page_names_the_request(world: World, aggregator):
    answer = world.call("viewer", "GET", "//ui/nowhere", headers={"Accept": "text/html", "X-Request-Id": "r-17"})
    assert answer.status_code == 404
    assert "r-17" in read(answer.text).text


def test_hostile_words_of_the_aggregator_stay_words(world: World, aggregator):
    evil = "<script>alert(1)</script>" + "x" * 5000
    conditions = (Condition(type="Failed", reason="Bad", message=evil),)
    clients = (client_status(state="Failed", message=evil, progress=None),)
    aggregator.tell_run(run_view(phase="Failed", conditions=conditions, clients=clients))
    aggregator.tell("runs/digits/outline", {"items": [outline(1, left_out={"vqa-1": evil}).model_dump(mode="json")]})
    answer = world.call("viewer", "GET", "//ui/runs/digits")
    assert "<script>alert" not in answer.text
    read(answer.text)
