"""A round's page: when, who, with whom, and whether the bytes are right; to whom it shows what, and what it shows while
the aggregator is away."""

import gzip
import re

import pytest
from pilot_proto.plan import GateCheck, GivenVerdict, RoundDocument
from pilot_proto.run import Condition, StartFrom
from pilot_registry.store.port import blob_key
from pilot_registry.tables import RejectionRow, Round
from sqlalchemy import select
from unit.registry.ui.fake_aggregator import (
    after,
    attempt_times,
    client_status,
    round_document,
    run_view,
    timeline,
)
from unit.registry.ui.html import page, read
from unit.registry.ui.merged_rounds import one_round
from unit.registry.world import UID, World

POSTED = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
PLACE = "ui/runs/digits/rounds/1"
GATE = GateCheck(
    kind="text",
    mark="norm_outlier",
    values={"cap-1": 1.0, "vqa-1": 1.0, "vqa-2": 25.0},
    median=1.0,
    limit=10.0,
    flagged=("vqa-2",),
)


def refuse(world: World, client: str = "vqa-1", round_: int = 1, message: str = "the file holds NaN") -> None:
    """A row of the record of refused uploads."""
    known = {"uid": UID, "run": "digits", "number": round_, "client": client, "at": "2026-01-01T00:00:00.000Z"}
    with world.app.state.registry.database.writing() as session:
        session.add(RejectionRow(**known, code="non_finite", message=message))


@pytest.fixture
def published(world: World, aggregator) -> World:
    """Round 1 is published without cap-1, and the aggregator is there."""
    one_round(world, lost=("cap-1",))
    aggregator.tell_round(round_document())
    return world


# -- what is published


def test_a_published_round_shows_fully_from_the_registry_while_the_aggregator_is_away(world: World, aggregator):
    one_round(world, lost=("cap-1",))
    aggregator.away = True
    made = page(world, "viewer", PLACE)
    for words in ("Published", "left out", "Late", "counted", "Rule per-task-mean", "nearest", "0.625", "6.000"):
        assert words in made.text, words
    assert "what the registry itself knows" in made.text
    assert "accepted" in made.text
    assert any(link.startswith("/ui/adapters/digits/task-vqa-connector?rev=") for link in made.links)
    assert "/ui/runs/digits/rounds/0" in made.links


def test_the_figures_say_who_took_part(published: World):
    text = page(published, "viewer", PLACE).text
    assert re.search(r"3\s*asked\s*2\s*answered\s*2\s*counted\s*0\s*flagged", text)


def test_a_reason_is_explained_with_what_to_do_next(published: World):
    text = page(published, "viewer", PLACE).text
    assert "still at work when the round was sealed" in text
    assert "grace_s" in text


def test_with_the_aggregator_there_are_times_results_and_verdicts(world: World, aggregator):
    one_round(world)
    given = GivenVerdict(client="vqa-1", verdict="count", reason="new camera", by="operator:mira", at=after(80))
    result = {"point": "merged", "round": 0, "metric": "exact-match", "value": 0.25, "split": "test", "samples": 8}
    aggregator.tell_round(round_document(verdicts=(given,), evaluations={"vqa-1": (result,)}))
    text = page(world, "viewer", PLACE).text
    for words in ("1 min 40 s", "training", "operator:mira", "new camera", "merged 0", "25.0 %"):
        assert words in text, words


def test_of_a_published_round_the_aggregator_need_not_send_the_plan(published: World, aggregator):
    page(published, "viewer", PLACE)
    assert "runs/digits/rounds/1?plan=false" in [call[1] for call in aggregator.calls]


def test_who_was_merged_with_whom_stands_with_weights_and_marked_neighbours(published: World):
    answer = published.call("viewer", "GET", f"//{PLACE}")
    marked = re.findall(r'<td class="number[^"]* own">([^<]*)<', answer.text)
    # vqa-1 took from cap-1 and vqa-2, and vqa-2 from vqa-1; cap-1 kept its own.
    assert marked == ["9.000", "6.000", "6.000"]
    text = read(answer.text).text
    assert "vqa-1, vqa-2, each 0.500" in text


def test_a_lost_plan_leaves_the_rest_of_the_page(published: World):
    registry = published.app.state.registry
    with registry.database.reading() as session:
        plan = session.scalar(select(Round.plan).where(Round.number == 1))
    registry.store.delete_older(blob_key(plan), 1e12)
    text = page(published, "viewer", PLACE).text
    assert "counted" in text
    assert "Not planned yet" not in text
    assert "cannot be read" in text


# -- to whom


def test_what_is_for_operators_is_not_on_a_viewers_page(world: World, aggregator):
    one_round(world)
    refuse(world)
    aggregator.tell_round(round_document(gate=(GATE,)))
    seen, all_of_it = page(world, "viewer", PLACE), page(world, "operator", PLACE)
    for words in ("What the gate looked at", "Refused uploads", "the file holds NaN", "Recompute the merge"):
        assert words not in seen.text, words
        assert words in all_of_it.text, words
    logs = "/ui/runs/digits/rounds/1/clients/vqa-1/logs"
    assert (logs in seen.links, logs in all_of_it.links) == (False, True)
    assert "post /ui/runs/digits/rounds/1/verify" in all_of_it.actions


def test_the_gate_is_shown_as_a_strip_and_in_numbers(published: World, aggregator):
    aggregator.tell_round(round_document(gate=(GATE,)))
    answer = published.call("operator", "GET", f"//{PLACE}")
    assert len(re.findall(r'<circle [^>]*class="(?:in|out)"', answer.text)) == 3
    assert "above it: vqa-2" in read(answer.text).text
    assert "25.00" in read(answer.text).text


def test_a_refused_upload_comes_with_its_code_and_help(published: World):
    refuse(published)
    text = page(published, "operator", PLACE).text
    for words in ("non_finite", "the file holds NaN", "lower the learning rate"):
        assert words in text


def test_a_raw_update_is_no_link_for_anybody(published: World):
    for who in ("viewer", "operator"):
        assert not [link for link in page(published, who, PLACE).links if "-update" in link]


# -- a round at work, and rounds without a merge


def test_a_round_at_work_shows_its_clients_as_they_are_now(world: World, aggregator):
    world.grant("vqa-1", 1)
    clients = (client_status("vqa-1"), client_status("vqa-2", state="Failed", reason="bad_data", message="bad_data: 7"))
    works = attempt_times(state="Running", ended_at=None, reported_at=None, stages=(), exit_code=None)
    steps = dict.fromkeys(("quorum_at", "sealed_at", "measured_at", "planned_at", "merged_at", "published_at"))
    aggregator.tell_round(
        round_document(state="Assigned"),
        timeline(clients={"vqa-1": (works,), "vqa-2": ()}, **steps),
        run_view(round=1, clients=clients),
    )
    made = page(world, "operator", PLACE)
    for words in (
        "Assigned",
        "as they are now",
        "Running",
        "bad_data: 7",
        "Not planned yet",
        "once the round is sealed",
    ):
        assert words in made.text, words
    assert "/ui/runs/digits" in made.links
    assert "Recompute" not in made.text


def test_a_round_that_waits_for_a_verdict_says_whose(world: World, aggregator):
    world.grant("vqa-1", 1)
    waits = (Condition(type="AwaitingVerdict", reason="AwaitingVerdict", message="vqa-2"),)
    clients = (client_status("vqa-2", state="Held", progress=None),)
    view = run_view(phase="Merging", conditions=waits, round=1, clients=clients)
    told = timeline(planned_at=None, merged_at=None, published_at=None)
    aggregator.tell_round(round_document(state="Sealed", gate=(GATE,)), told, view)
    made = page(world, "operator", PLACE)
    assert "1 held: vqa-2" in made.text
    assert "/ui/quarantine" in made.links
    aggregator.tell_round(round_document(state="Sealed"), told, view)
    assert "/ui/quarantine" not in page(world, "viewer", PLACE).links


def test_while_the_aggregator_is_away_a_round_at_work_is_told_by_who_was_granted_and_accepted(world: World, aggregator):
    world.answer("vqa-1", seed=1)
    world.grant("vqa-2", 1)
    aggregator.away = True
    made = page(world, "viewer", PLACE)
    assert re.search(r"2\s*asked\s*1\s*answered", made.text)
    assert "Assigned" in made.text


def test_a_round_that_was_seen_is_remembered_with_its_age(world: World, aggregator):
    world.grant("vqa-1", 1)
    aggregator.tell_round(round_document(state="Assigned"), view=run_view(round=1))
    page(world, "viewer", PLACE)
    aggregator.away = True
    assert "this is what it last said" in page(world, "viewer", PLACE).text


def test_round_0_shows_what_it_made_and_merges_nothing(world: World, aggregator):
    aggregator.away = True
    made = page(world, "viewer", "ui/runs/digits/rounds/0")
    assert "Nobody trains here" in made.text
    assert any(link.startswith("/ui/adapters/digits/base-connector?rev=") for link in made.links)
    assert "Who was merged" not in made.text


def test_an_evaluation_says_that_it_only_measures(world: World, aggregator):
    result = {"point": "merged", "round": 3, "metric": "iou", "value": 0.5, "split": "test", "samples": 8}
    world.grant("vqa-1", 4, program="evaluate", kinds=())
    aggregator.tell_round(
        round_document(4, state="Assigned", program="evaluate", evaluations={"vqa-1": (result,)}),
        view=run_view(round=4),
    )
    text = page(world, "operator", "ui/runs/digits/rounds/4").text
    assert "Nothing is trained or merged here" in text
    for absent in ("Who was merged", "What the gate looked at"):
        assert absent not in text


def test_round_0_of_a_run_that_goes_on_leads_to_the_round_that_it_goes_on_from(world: World, aggregator):
    view = run_view("on", published=0, round=0)
    spec = view.spec.model_copy(update={"start_from": StartFrom(run="digits", round=3)})
    aggregator.tell_round(
        round_document(0, run="on"), timeline(0, {}, run="on"), view.model_copy(update={"spec": spec})
    )
    made = page(world, "viewer", "ui/runs/on/rounds/0")
    assert "/ui/runs/digits/rounds/3" in made.links


# -- many clients


def many(number: int) -> dict[str, str]:
    return {f"client-{i:03d}": f"task-{i % 10}" for i in range(number)}


def test_of_200_clients_the_page_stays_small_and_the_rest_is_behind_links(world: World, aggregator):
    from unit.registry.ui.large_rounds import large_round

    document = large_round(many(200))
    aggregator.tell_round(document, timeline(clients={c: (attempt_times(),) for c in many(200)}), run_view(round=1))
    answer = world.call("operator", "GET", f"//{PLACE}", headers={"Accept": "text/html"})
    assert len(gzip.compress(answer.content, 5)) < 150_000
    made = read(answer.text)
    assert f"/{PLACE}?cursor=client-024" in made.links
    assert f"/{PLACE}/distances?kind=text" in made.links
    assert "client-025" not in re.sub(r"<option.*?</option>", "", answer.text.partition("Time line")[0])


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("task=caption", {"cap-1"}),
        ("outcome=left-out", {"cap-1"}),
        ("outcome=counted", {"vqa-1", "vqa-2"}),
        ("outcome=flagged", set()),
        ("limit=1", {"cap-1"}),
        ("limit=1&cursor=cap-1", {"vqa-1"}),
    ],
)
def test_clients_are_filtered_and_paged(published: World, query, shown):
    found = published.call("viewer", "GET", f"//{PLACE}?format=json&{query}").json()
    assert {client["client"] for client in found["clients"]} == shown
    assert {lane["client"] for lane in found["time_line"]["lanes"]} == shown


def test_a_neighbourhood_is_shown_on_demand(published: World):
    assert "who is near vqa-1" in page(published, "viewer", f"{PLACE}?client=vqa-1").text
    text = page(published, "viewer", f"{PLACE}?client=nobody").text
    assert "who is near" not in text


def test_all_distances_have_a_page_of_their_own_and_go_with_the_weights_into_a_file(published: World):
    answer = published.call("viewer", "GET", f"//{PLACE}/distances", headers={"Accept": "text/html"})
    made = read(answer.text)
    assert "<path d=" in answer.text
    assert "9.000" in made.text
    assert f"/{PLACE}/merge.csv" in made.links
    told = published.call("viewer", "GET", f"//{PLACE}/merge.csv")
    assert told.headers["content-type"].startswith("text/csv")
    lines = told.text.splitlines()
    assert lines[0] == "run,round,kind,receiver,contributor,coefficient,distance"
    assert "digits,1,text,vqa-1,vqa-2,0.25,6.0" in lines
    assert "digits,1,connector,vqa,vqa-1,0.5," in lines


def test_the_table_of_distances_comes_in_pieces(world: World, aggregator):
    from unit.registry.ui.large_rounds import large_round

    aggregator.tell_round(large_round(many(200)), view=run_view(round=1))
    first = page(world, "viewer", f"{PLACE}/distances")
    assert "lines 1 to 12 of 200" in first.text
    assert f"/{PLACE}/distances?cursor=12" in first.links
    assert "lines 193 to 200 of 200" in page(world, "viewer", f"{PLACE}/distances?cursor=192").text


@pytest.mark.parametrize("path", ["rounds/0/distances", "rounds/1/distances?kind=connector"])
def test_where_no_distances_were_looked_at_there_is_no_such_page(published: World, aggregator, path):
    aggregator.tell_round(round_document(0))
    assert "nearest" in page(published, "viewer", f"ui/runs/digits/{path}", status=404).text


# -- verify


def verified(world: World, verdict: str, **more) -> str:
    """What the page says after somebody had the merge recomputed."""
    state = world.app.state
    aggregator_says = {"run": "digits", "round": 1, "verdict": verdict, **more}
    world.told.tell("runs/digits/rounds/1/verify", aggregator_says)
    answer = world.call("operator", "POST", f"//{PLACE}/verify", headers=POSTED)
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, f"/{PLACE}")
    state.verifications._pool.shutdown(wait=True)
    return page(world, "viewer", PLACE).text


@pytest.fixture
def verifiable(published: World, aggregator) -> World:
    published.told = aggregator
    return published


@pytest.mark.parametrize(
    ("verdict", "more", "words"),
    [
        ("identical", {"outputs": {"digits/a": True}, "max_distance_error": 0.0}, "1 of 1 outputs identical"),
        ("different", {"outputs": {"digits/a": True, "digits/b": False}}, "digits/b"),
        ("inputs_deleted", {"message": "gone"}, "Retention has deleted the updates"),
        ("nothing_merged", {"message": "round 1 merges nothing"}, "merges nothing"),
    ],
)
def test_recomputing_tells_what_came_of_it(verifiable: World, aggregator, verdict, more, words):
    text = verified(verifiable, verdict, **more)
    assert verdict in text
    assert words in text
    assert "for operator" in text
    assert [call[:3] for call in aggregator.calls if call[0] == "POST"] == [
        ("POST", "runs/digits/rounds/1/verify", "operator")
    ]


def test_what_hinders_recomputing_is_told(verifiable: World, aggregator):
    aggregator.tell("runs/digits/rounds/1/verify", 409)
    verifiable.call("operator", "POST", f"//{PLACE}/verify", headers=POSTED)
    verifiable.app.state.verifications._pool.shutdown(wait=True)
    text = page(verifiable, "operator", PLACE).text
    assert "not recomputed" in text
    assert "no runs/digits/rounds/1/verify" in text


def test_a_viewer_recomputes_nothing(verifiable: World):
    assert verifiable.call("viewer", "POST", f"//{PLACE}/verify", headers=POSTED).status_code == 403


def test_while_the_aggregator_is_away_there_is_nobody_to_recompute(verifiable: World, aggregator):
    aggregator.away = True
    assert "Recompute" not in page(verifiable, "operator", PLACE).text


# -- all pages


@pytest.mark.parametrize("path", [PLACE, f"{PLACE}/distances", "ui/runs/digits/rounds/0"])
def test_every_page_is_also_json(published: World, aggregator, path):
    aggregator.tell_round(round_document(0))
    by_query = published.call("viewer", "GET", f"//{path}?format=json")
    by_header = published.call("viewer", "GET", f"//{path}", headers={"Accept": "application/json"})
    assert by_query.json()["title"] == by_header.json()["title"]


@pytest.mark.parametrize(("path", "status"), [("rounds/9", 404), ("rounds/-1", 422), ("rounds/x", 422)])
def test_a_round_that_is_not_there(published: World, path, status):
    page(published, "viewer", f"ui/runs/digits/{path}", status=status)


def test_a_round_of_an_unknown_run_leads_to_runs_of_a_similar_name(published: World):
    assert "/ui/runs/digits" in page(published, "viewer", "ui/runs/digitz/rounds/1", status=404).links


def test_nobody_can_tell_of_a_round_that_the_registry_does_not_know_while_the_aggregator_is_away(world, aggregator):
    aggregator.away = True
    page(world, "viewer", "ui/runs/digits/rounds/9", status=503)


def test_hostile_words_stay_words(world: World, aggregator):
    evil = "\N{RIGHT-TO-LEFT OVERRIDE}<script>alert(1)</script>" + "x" * 5000
    one_round(world)
    refuse(world, message=evil)
    given = GivenVerdict(client="vqa-1", verdict="drop", reason=evil, by=evil)
    times = attempt_times(message=evil, stages=({"stage": "<script>alert(1)</script>", "seconds": 3},))
    aggregator.tell_round(round_document(verdicts=(given,)), timeline(clients={"vqa-1": (times,)}))
    answer = world.call("operator", "GET", f"//{PLACE}", headers={"Accept": "text/html"})
    assert "<script>alert" not in answer.text
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in answer.text
    read(answer.text)


def test_a_document_of_a_later_version_can_still_be_read():
    assert RoundDocument.read('{"run":"t","round":1,"program":"plain","state":"Published","later":1}').gate == ()
