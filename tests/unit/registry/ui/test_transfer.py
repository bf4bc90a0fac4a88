"""Transfer: cautions first, the two points apart, who went in, and what is missing where nothing can be told."""

import csv
import io
from html.parser import HTMLParser

import pytest
from pilot_proto.presets import expand
from pilot_proto.report import ClientReport
from pilot_proto.run import RunPage
from pilot_registry.ui.views import transfer_page
from pilot_registry.ui.views.bars import bars
from pilot_reports.history import History
from pilot_reports.transfer import ClientTransfer, Spread, TaskTransfer
from unit.registry.published import mean, next_round
from unit.registry.ui.fake_aggregator import CLIENTS, run_report, run_view
from unit.registry.ui.html import page, read
from unit.registry.ui.merged_rounds import one_round
from unit.registry.world import World

BOTH = "run=digits&run=alone"


def view_of(name: str, method: str = "pilot", phase: str = "Succeeded", model: str = "digits-tiny", **spec):
    document = {
        "apiVersion": "pilot/v1alpha1",
        "kind": "Run",
        "metadata": {"name": name},
        "spec": {"model": model, "method": method, "rounds": ["plain"], **spec},
    }
    return run_view(name, phase=phase).model_copy(update={"spec": expand(document).spec})


def report_of(name: str, method: str, last: float, before: float = 0.1):
    clients = tuple(
        ClientReport(client=c, task=t, metric="exact-match", before=before, merged=(0.2, last), local=(0.3, 0.35))
        for c, t in CLIENTS.items()
    )
    return run_report(name).model_copy(update={"method": method, "rounds": 2, "clients": clients})


@pytest.fixture
def known(world: World, aggregator) -> World:
    """digits gained a quarter over alone; one merged round of it is in the registry."""
    one_round(world, 1)
    views = (view_of("digits"), view_of("alone", "local"), view_of("other-model", "local", model="x"))
    for view, last in zip(views, (0.75, 0.5, 0.5), strict=True):
        name = view.metadata["name"]
        aggregator.tell_run(view, report_of(name, view.spec.method, last))
    aggregator.tell("runs", RunPage(items=views))
    return world


def as_json(world: World, path: str, who: str = "viewer"):
    answer = world.call(who, "GET", f"//{path}", headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def lines_of(answer) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_without_a_choice_the_runs_are_offered(known: World):
    made = as_json(known, "ui/transfer")
    assert [(run["name"], run["method"], run["chosen"]) for run in made["choices"]] == [
        ("digits", "pilot", False),
        ("alone", "local", False),
        ("other-model", "local", False),
    ]
    assert made["lacking"] is None
    text = page(known, "viewer", "ui/transfer?run=").text
    assert "one of method local" in text


def test_gains_are_told_for_each_point_of_its_own(known: World):
    (made,) = as_json(known, f"ui/transfer?{BOTH}")["found"]
    assert (made["run"], made["baseline"]) == ("digits", "alone")
    row = next(row for row in made["table"]["rows"] if row["cells"][0]["text"] == "vqa-1")
    assert [row["cells"][i]["text"] for i in (2, 4)] == ["+25.0", "+0.0"]
    titles = [drawing["title"] for drawing in made["bars"]]
    assert titles == ["caption, merged", "caption, local", "vqa, merged", "vqa, local"]


def test_who_went_in_comes_from_the_plan_that_the_registry_stores(known: World):
    (made,) = as_json(known, f"ui/transfer?{BOTH}")["found"]
    text = next(table for table in made["sources"] if "text" in table["caption"])
    row = next(row for row in text["rows"] if row["cells"][0]["text"] == "vqa-1")
    assert [cell["text"] for cell in row["cells"][2:]] == [
        "vqa-2 0.250, cap-1 0.125",
        "0.625",
        "0.250",
        "0.125",
        "+25.0",
    ]


def test_cautions_stand_before_the_numbers(known: World, aggregator):
    aggregator.tell_run(view_of("alone", "local", phase="Failed"), report_of("alone", "local", 0.5, before=0.2))
    aggregator.tell("runs", RunPage(items=()))
    (made,) = as_json(known, f"ui/transfer?{BOTH}")["found"]
    assert "alone ended Failed" in made["cautions"]
    text = page(known, "viewer", f"ui/transfer?{BOTH}").text
    assert text.index("alone ended Failed") < text.index("Gain of digits over alone")


def test_without_a_local_run_the_page_says_which_one_would_do(known: World):
    made = as_json(known, "ui/transfer?run=digits")
    assert made["lacking"]["offers"] == ["alone"]
    assert "/ui/transfer?run=digits&run=alone" in page(known, "viewer", "ui/transfer?run=digits").links


def test_where_no_run_would_do_the_page_says_how_to_make_one(known: World, aggregator):
    aggregator.tell("runs", RunPage(items=(view_of("digits"),)))
    assert "method: local" in page(known, "viewer", "ui/transfer?run=digits").text


def test_local_runs_alone_need_one_that_federates(known: World):
    assert as_json(known, "ui/transfer?run=alone")["lacking"]["offers"] == ["digits"]


def test_a_run_that_is_not_among_the_newest_can_be_named(known: World, aggregator):
    aggregator.tell("runs", RunPage(items=()))
    made = as_json(known, f"ui/transfer?{BOTH}&run=%20digits%20")
    assert [(run["name"], run["chosen"]) for run in made["choices"]] == [("digits", True), ("alone", True)]
    assert len(made["found"]) == 1


def test_a_run_that_does_not_exist_is_left_out_with_a_word(known: World):
    made = as_json(known, f"ui/transfer?{BOTH}&run=nothing")
    assert made["chosen"] == ["digits", "alone"]
    assert made["notices"][0]["text"].startswith("nothing is left out")


def test_too_many_runs_are_refused_with_the_limit(known: World):
    query = "&".join(f"run=r{i}" for i in range(9))
    answer = known.call("viewer", "GET", f"//ui/transfer?{query}", headers={"Accept": "text/html"})
    assert answer.status_code == 422
    assert "at most 8" in read(answer.text).text


def test_while_the_aggregator_is_away_the_ledgers_tell_means_by_task(known: World, aggregator):
    next_round(known, mean("merged", 1, 0.5), mean("local", 2, 0.25))
    aggregator.away = True
    made = as_json(known, "ui/transfer?run=digits")
    assert [cell["text"] for cell in made["ledgers"]["rows"][0]["cells"]] == [
        "vqa",
        "exact-match",
        "50.0 % (1)",
        "25.0 % (2)",
    ]
    assert "the ledgers have means by task" in page(known, "viewer", "ui/transfer?run=digits").text
    page(known, "viewer", "ui/transfer")


def test_what_was_seen_before_stands_in_with_its_age(known: World, aggregator):
    page(known, "viewer", f"ui/transfer?{BOTH}")
    aggregator.away = True
    text = page(known, "viewer", f"ui/transfer?{BOTH}").text
    assert "this is what it last said" in text
    assert "Gain of digits over alone" in text


# -- files


class Foreign(HTMLParser):
    """What a file would load from somewhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("script", "link", "img", "iframe") or "src" in given:
            self.found.append(f"{tag} {given}")


def test_the_page_can_be_taken_away_as_one_file(known: World):
    answer = known.call("viewer", "GET", f"//ui/transfer/report.html?{BOTH}")
    assert answer.headers["content-disposition"] == 'attachment; filename="transfer.html"'
    foreign = Foreign()
    foreign.feed(answer.text)
    assert foreign.found == []
    assert "url(" not in answer.text
    assert "@import" not in answer.text
    assert "Gain of digits over alone" in answer.text
    assert "color-scheme: light dark" in answer.text


def test_gains_as_csv(known: World):
    lines = lines_of(known.call("viewer", "GET", f"//ui/transfer/gains.csv?{BOTH}"))
    assert len(lines) == 6
    assert {float(line["gain"]) for line in lines if line["point"] == "merged"} == {0.25}


def test_merges_and_participation_come_from_the_registry_itself(known: World):
    merges = lines_of(known.call("viewer", "GET", "//ui/transfer/merge.csv?run=digits"))
    assert {line["kind"] for line in merges} == {"connector", "text"}
    weights = {
        (line["receiver"], line["contributor"]): line["coefficient"] for line in merges if line["kind"] == "text"
    }
    assert weights["vqa-1", "cap-1"] == "0.125"
    told = lines_of(known.call("viewer", "GET", "//ui/transfer/participation.csv?run=digits"))
    assert [(line["client"], line["counted"]) for line in told] == [
        ("cap-1", "true"),
        ("vqa-1", "true"),
        ("vqa-2", "true"),
    ]


def test_losses_in_the_csv_are_for_operators(known: World, aggregator):
    for who in ("viewer", "operator"):
        lines_of(known.call(who, "GET", "//ui/transfer/participation.csv?run=digits"))
        asked = [call for call in aggregator.calls if call[1] == "runs/digits/updates"]
        assert bool(asked) == (who == "operator")


def test_measured_values_come_from_the_aggregators_rounds(known: World, aggregator):
    measured = {"point": "merged", "round": 0, "value": 0.25, "split": "test", "metric": "exact-match", "samples": 8}
    round_ = {"run": "digits", "round": 1, "program": "plain", "state": "Published"}
    aggregator.tell_run(view_of("digits"), report_of("digits", "pilot", 0.75), rounds=1)
    aggregator.tell("runs/digits/rounds/0", {**round_, "evaluations": {"vqa-1": [measured]}})
    (line,) = lines_of(known.call("viewer", "GET", "//ui/transfer/metrics.csv?run=digits"))
    assert (line["client"], line["task"], line["value"], line["samples"]) == ("vqa-1", "vqa", "0.25", "8")


def test_a_table_that_does_not_exist_is_refused(known: World):
    assert known.call("viewer", "GET", "//ui/transfer/secrets.csv").status_code == 422


def test_hostile_names_stay_names(known: World, aggregator):
    evil = "<script>alert(1)</script>" + "x" * 5000
    client = ClientReport(client=evil, task=evil, metric=evil, before=0.1, merged=(0.2,), local=(0.3,))
    for name, method in (("digits", "pilot"), ("alone", "local")):
        made = report_of(name, method, 0.5).model_copy(update={"clients": (client,)})
        tasks = (made.tasks[0].model_copy(update={"task": evil, "metric": evil}),)
        aggregator.tell(f"runs/{name}/report", made.model_copy(update={"tasks": tasks}))
    for path in (f"ui/transfer?{BOTH}", f"ui/transfer/report.html?{BOTH}", f"ui/transfer?run={evil[:150]}"):
        answer = known.call("viewer", "GET", f"//{path}")
        assert answer.status_code == 200, answer.text
        assert "<script>alert" not in answer.text
    assert len(known.call("viewer", "GET", f"//ui/transfer?{BOTH}").content) < 150_000


@pytest.mark.parametrize("path", ["ui/transfer", "ui/transfer/report.html", "ui/transfer/gains.csv"])
def test_pages_are_for_people(known: World, path: str):
    assert known.call("client:vqa-1", "GET", f"//{path}").status_code == 403


# -- the views


def task_of(values, metric="exact-match"):
    clients = tuple(ClientTransfer(client=f"c-{i}", merged=m, local=None) for i, m in enumerate(values))
    known = [value for value in values if value is not None]
    spread = Spread(sum(known) / len(known), None, min(known), max(known)) if known else None
    return TaskTransfer("vqa", metric, clients, spread, None)


def test_the_longest_bar_fills_its_half_and_losses_go_to_the_left():
    (made,) = bars(task_of([0.2, -0.1, None]))
    mean, best, worst = made.bars
    assert (mean.strong, best.tone, worst.tone) == (True, "plus", "minus")
    assert best.x == made.zero
    assert worst.x + worst.width == pytest.approx(made.zero)
    assert best.width == pytest.approx(2 * worst.width)
    assert best.x + best.width <= made.values
    assert (best.value, worst.value) == ("+20.0", "\N{MINUS SIGN}10.0")
    assert made.height >= max(bar.y + made.bar for bar in made.bars)


def test_nothing_measured_draws_nothing_and_no_gain_at_all_is_no_error():
    assert bars(task_of([None, None])) == ()
    (made,) = bars(task_of([0.0, 0.0]))
    assert {bar.width for bar in made.bars} == {0.0}


def history(name: str, method: str, **spec) -> History:
    return History(view=view_of(name, method, **spec), report=report_of(name, method, 0.5), rounds=())


def test_the_offer_begins_with_the_same_seed_and_with_what_succeeded():
    listed = [
        view_of("failed", "local", phase="Failed"),
        view_of("other-seed", "local", training={"seed": 7}),
        view_of("fits", "local"),
        view_of("other-split", "local", evaluation={"split": "val"}),
        view_of("federated", "fedavg"),
    ]
    made = transfer_page.lacking([history("digits", "pilot")], listed)
    assert made.offers == ("fits", "failed", "other-seed")
    assert transfer_page.lacking([], listed) is None
    assert transfer_page.lacking([history("a", "pilot"), history("b", "local")], listed) is None
