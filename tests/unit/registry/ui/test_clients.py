"""The clients, and one of them: what is whose to see, who has left, and what the index tells while nobody answers."""

import pytest
from pilot_proto.plan import KindPlan, LedgerEntry, MergePlan, PlanInput, PlanOutput
from pilot_proto.run import Rule
from pilot_registry.tables import RejectionRow
from pilot_registry.ui.views import client_page
from pilot_registry.ui.views.outcomes import outcome, outcome_so_far
from unit.registry.ui.fake_aggregator import federation, run_report
from unit.registry.ui.html import page, read
from unit.registry.ui.merged_rounds import APART, one_round
from unit.registry.world import UID, World

FOLDER = "/data/of/vqa-1"


@pytest.fixture
def known(world: World, aggregator) -> World:
    """Two rounds of digits; vqa-2 was late in the second, and has left the federation."""
    aggregator.tell("federation", federation({"vqa-1": "vqa", "cap-1": "caption", "new-1": "vqa"}, disabled=("cap-1",)))
    aggregator.tell("runs/digits/report", run_report())
    one_round(world, 1)
    one_round(world, 2, lost=("vqa-2",))
    return world


def refuse(world: World, client: str = "vqa-1", message: str = "the file holds NaN", times: int = 1) -> None:
    with world.app.state.registry.database.writing() as session:
        for _ in range(times):
            session.add(
                RejectionRow(
                    uid=UID,
                    run="digits",
                    number=2,
                    client=client,
                    code="non_finite",
                    message=message,
                    at="2026-01-01T00:00:00Z",
                )
            )


def as_json(world: World, who: str, path: str):
    answer = world.call(who, "GET", f"//{path}", headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()


# -- the list


def test_the_list_joins_the_federation_with_what_the_index_knows(known: World):
    found = {line["name"]: line for line in as_json(known, "viewer", "ui/clients")["items"]}
    assert {name: (line["state"], line["runs"], line["asked"], line["answered"]) for name, line in found.items()} == {
        "cap-1": ("disabled", 1, 2, 0),
        "new-1": ("enabled", 0, 0, 0),
        "vqa-1": ("enabled", 1, 2, 2),
        "vqa-2": ("left", 1, 2, 1),
    }
    assert "base" not in found, "who prepares round 0 is no client"


def test_figures_of_single_clients_are_for_operators(known: World):
    refuse(known)
    for who in ("viewer", "operator"):
        line = next(each for each in as_json(known, who, "ui/clients")["items"] if each["name"] == "vqa-1")
        assert (line["figures"] is not None) == (who == "operator")
    assert line["figures"]["refused"] == 1
    assert line["figures"]["sent"] > 0
    viewed = known.call("viewer", "GET", "//ui/clients").text + known.call("viewer", "GET", "//ui/clients/vqa-1").text
    for secret in (FOLDER, "Refused uploads", "Last upload", "non_finite", "1.25"):
        assert secret not in viewed, secret
    assert FOLDER in known.call("operator", "GET", "//ui/clients/vqa-1").text


def test_the_list_goes_from_name_to_name_and_by_task(known: World):
    first = as_json(known, "viewer", "ui/clients?limit=3")
    assert [line["name"] for line in first["items"]] == ["cap-1", "new-1", "vqa-1"]
    second = as_json(known, "viewer", f"ui/clients?limit=3&cursor={first['next']}")
    assert ([line["name"] for line in second["items"]], second["next"]) == (["vqa-2"], None)
    assert [line["name"] for line in as_json(known, "viewer", "ui/clients?task=caption")["items"]] == ["cap-1"]
    assert "No client has the task nothing" in page(known, "viewer", "ui/clients?task=nothing").text
    page(known, "viewer", "ui/clients?task=")


def test_where_nobody_is_known_the_page_says_where_clients_come_from(world: World, aggregator):
    aggregator.away = True
    assert "pilot clients add" in page(world, "viewer", "ui/clients").text


def test_a_fault_in_the_federation_file_is_told_to_operators(world: World, aggregator):
    aggregator.tell("federation", federation({"vqa-1": "vqa"}, error="/data/secret is there twice"))
    assert "/data/secret is there twice" in page(world, "operator", "ui/clients").text
    assert "/data/secret" not in page(world, "viewer", "ui/clients").text


def test_while_the_aggregator_is_away_the_index_tells_whom_runs_asked(known: World, aggregator):
    aggregator.away = True
    found = as_json(known, "viewer", "ui/clients")
    assert {line["name"]: line["state"] for line in found["items"]} == {
        "cap-1": "unknown",
        "vqa-1": "unknown",
        "vqa-2": "unknown",
    }
    assert "this is what runs have asked" in page(known, "viewer", "ui/clients").text


def test_a_federation_that_was_seen_before_stands_in(known: World, aggregator):
    page(known, "viewer", "ui/clients")
    aggregator.away = True
    text = page(known, "viewer", "ui/clients").text
    assert "this is what it last said" in text
    assert "new-1" in text


# -- one client


def test_a_client_is_told_round_by_round(known: World):
    made = as_json(known, "operator", "ui/clients/vqa-2")
    assert [(each["round"], each["outcome"]["word"], each["outcome"]["code"]) for each in made["rounds"]] == [
        (1, "Counted", ""),
        (2, "Left out", "Late"),
    ]
    assert made["rounds"][0]["change"] == {"text": 1.25}
    assert made["rounds"][0]["to_mean"] == {"text": APART / 2}
    text = page(known, "operator", "ui/clients/vqa-2").text
    assert "still at work when the round was sealed" in text
    assert "left the federation since" in text


def test_what_it_was_merged_with_has_its_weights(known: World):
    own, *_ = as_json(known, "viewer", "ui/clients/vqa-1")["rounds"]
    assert {made["kind"]: (made["whose"], made["own"], made["others"]) for made in own["mixes"]} == {
        "connector": ("vqa", 0.5, [{"client": "vqa-2", "weight": 0.5}]),
        "text": ("own", 0.625, [{"client": "vqa-2", "weight": 0.25}, {"client": "cap-1", "weight": 0.125}]),
    }
    made = page(known, "viewer", "ui/clients/vqa-1")
    assert "/ui/clients/vqa-2" in made.links


def test_norms_and_distances_are_for_operators(known: World):
    viewed, full = (as_json(known, who, "ui/clients/vqa-1") for who in ("viewer", "operator"))
    assert [each["change"] for each in viewed["rounds"]] == [None, None]
    assert viewed["distance"] is viewed["change"] is viewed["rejections"] is None
    assert full["distance"]["series"] == [{"label": "text", "values": [APART / 2, APART / 2]}]
    assert viewed["metrics"]["series"][0]["values"][:2] == [10.0, 20.0]


def test_a_metric_that_is_not_known_to_be_euclidean_is_said_to_tell_no_mean(world: World, aggregator):
    one_round(world, 1, metric="cosine")
    aggregator.tell("federation", federation({"vqa-1": "vqa"}))
    made = as_json(world, "operator", "ui/clients/vqa-1")
    assert made["distance"] is None
    assert "not known to be Euclidean" in made["about_means"][0]


def test_a_round_that_is_not_published_tells_how_far_it_is(known: World):
    known.answer("vqa-1", 3, seed=90)
    known.grant("vqa-2", 3)
    assert as_json(known, "viewer", "ui/clients/vqa-1")["rounds"][-1]["outcome"]["word"] == "Answered"
    assert as_json(known, "viewer", "ui/clients/vqa-2")["rounds"][-1]["outcome"]["word"] == "Asked"
    known.seal(3)
    assert as_json(known, "viewer", "ui/clients/vqa-2")["rounds"][-1]["outcome"]["word"] == "No answer"


def test_many_rounds_are_shown_a_few_at_a_time(world: World, aggregator):
    aggregator.tell("federation", federation({"vqa-1": "vqa"}))
    for number in range(1, 15):
        world.grant("vqa-1", number)
    last = as_json(world, "viewer", "ui/clients/vqa-1")
    assert ([each["round"] for each in last["rounds"]], last["earlier"]) == (list(range(3, 15)), 3)
    first = as_json(world, "viewer", "ui/clients/vqa-1?run=digits&before=3")
    assert ([each["round"] for each in first["rounds"]], first["earlier"]) == ([1, 2], None)


def test_another_run_is_chosen_by_its_name_and_runs_have_pages(known: World, aggregator):
    for number in range(22):
        World(known.app, run=f"run-{number}", uid=f"uid-{number}").grant("vqa-1", 1)
    newest = as_json(known, "viewer", "ui/clients/vqa-1")
    assert (newest["run"], newest["runs"][0]["run"], len(newest["runs"])) == ("run-21", "run-21", 20)
    older = as_json(known, "viewer", f"ui/clients/vqa-1?cursor={newest['next']}&run=digits")
    assert ([line["run"] for line in older["runs"]], older["run"]) == (["run-1", "run-0", "digits"], "digits")
    assert known.call("viewer", "GET", "//ui/clients/vqa-1?run=nothing").status_code == 404


def test_what_was_refused_stands_with_its_round_and_its_code(known: World):
    refuse(known)
    made = as_json(known, "operator", "ui/clients/vqa-1")
    assert [len(each["refused"]) for each in made["rounds"]] == [0, 1]
    assert made["rejections"][0]["code"] == "non_finite"
    assert "the file holds NaN" in page(known, "operator", "ui/clients/vqa-1").text


def test_while_the_aggregator_is_away_a_client_is_told_from_the_index(known: World, aggregator):
    aggregator.away = True
    text = page(known, "operator", "ui/clients/vqa-2").text
    assert "whether it is in the federation is not known" in text
    assert "still at work" in text
    assert "What it measured in digits is not known now" in text


def test_a_run_that_the_aggregator_does_not_know_costs_its_metrics_only(known: World, aggregator):
    aggregator.tell("runs/digits/report", 404)
    made = as_json(known, "viewer", "ui/clients/vqa-1")
    assert made["metrics"] is None
    assert made["rounds"]


def test_a_plan_that_the_store_has_lost_costs_what_it_would_tell(known: World):
    store = known.app.state.registry.store
    for stored in list(store.list("blobs/")):
        with store.open(stored.key) as reader:
            body = reader.read_at(0, 40)
        if body.startswith((b'{"kinds"', b'{"entries"')):
            store.delete_older(stored.key, 1e12)
    made = as_json(known, "operator", "ui/clients/vqa-1")
    assert [each["outcome"]["word"] for each in made["rounds"]] == ["Answered", "Answered"]
    assert [each["mixes"] for each in made["rounds"]] == [[], []]


def test_a_client_that_nobody_knows_leads_to_one_of_a_similar_name(known: World, aggregator):
    assert "/ui/clients/vqa-2" in page(known, "viewer", "ui/clients/vqa-3", status=404).links
    aggregator.away = True
    page(known, "viewer", "ui/clients/vqa-3", status=404)
    # Of the federation nothing was remembered for an operator: the client may well be in it.
    page(known, "operator", "ui/clients/vqa-3", status=503)


def test_a_client_of_the_federation_that_no_run_has_asked_says_so(known: World):
    assert "No run has asked it yet" in page(known, "viewer", "ui/clients/new-1").text


def test_hostile_names_and_messages_stay_words(known: World, aggregator):
    evil = "<script>alert(1)</script>\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 5000
    refuse(known, message=evil)
    aggregator.tell(
        "runs/digits/report",
        {"run": evil, "method": "p", "rounds": 1, "clients": [], "tasks": [], "published": {}, "digests": {}},
    )
    answer = known.call("operator", "GET", "//ui/clients/vqa-1")
    assert "<script>alert" not in answer.text
    read(answer.text)
    assert known.call("viewer", "GET", "//ui/clients/%3Cscript%3E").status_code == 404


@pytest.mark.parametrize("who", ["client:vqa-1", "aggregator"])
def test_pages_are_for_people(known: World, who: str):
    assert known.call(who, "GET", "//ui/clients").status_code == 403
    assert known.call(who, "GET", "//ui/clients/vqa-2").status_code == 403


# -- the views


def entry(**more):
    return LedgerEntry.model_validate({"client": "a", "task": "t", "answered": True, "counted": False, **more})


@pytest.mark.parametrize(
    ("made", "word", "code", "meaning"),
    [
        (entry(counted=True), "Counted", "", False),
        (entry(reason="Late"), "Left out", "Late", True),
        (entry(reason="non_finite"), "Left out", "non_finite", True),
        (entry(reason="of-a-trainer"), "Left out", "of-a-trainer", False),
    ],
)
def test_an_outcome_has_a_word_a_code_and_where_we_know_it_a_sentence(made, word, code, meaning):
    found = outcome(made)
    assert (found.word, found.code, bool(found.meaning)) == (word, code, meaning)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"answered": True, "sealed": True, "revoked": True}, "Answered"),
        ({"answered": False, "sealed": True, "revoked": True}, "Withdrawn"),
        ({"answered": False, "sealed": True, "revoked": False}, "No answer"),
        ({"answered": False, "sealed": False, "revoked": False}, "Asked"),
    ],
)
def test_before_a_ledger_the_index_has_the_word(state, word):
    assert outcome_so_far(**state).word == word


def test_a_mean_over_many_names_the_heaviest_and_counts_the_rest():
    names = [f"c-{number:03}" for number in range(200)]
    inputs = tuple(
        PlanInput(client=c, task="t", repo="r/x", commit="a" * 40, digest="sha256:" + "b" * 64, num_examples=1)
        for c in names
    )
    weights = tuple(0.5 if number == 7 else 0.5 / 199 for number in range(200))
    kind = KindPlan(
        kind="text",
        rule=Rule(rule="mean"),
        inputs=inputs,
        outputs=(PlanOutput(repo="r/global-text", coefficients=weights),),
    )
    (made,) = client_page.mixes(MergePlan(run="r", round=1, program="plain", kinds=(kind,)), "c-000", "t")
    assert (made.whose, made.others[0].client, len(made.others), made.more) == ("global", "c-007", 6, 193)
    assert made.own == pytest.approx(0.5 / 199)


def test_a_rule_that_merges_nothing_mixes_nothing():
    kind = KindPlan(kind="text", rule=Rule(rule="none"), inputs=(), outputs=())
    assert client_page.mixes(MergePlan(run="r", round=1, program="plain", kinds=(kind,)), "a", "t") == ()
