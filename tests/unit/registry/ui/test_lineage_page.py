"""The lineage of a run: the drawing's places and lines, its thinning, the table, and what hidden versions show."""

from urllib.parse import parse_qs, urlsplit

import pytest
from pilot_registry.lineage import Graph, Link, Node
from pilot_registry.tables import Edge, Namespace, Version
from pilot_registry.ui.views import run_graph
from pilot_registry.ui.views.run_graph import Row, row_of, sheet
from sqlalchemy import insert
from unit.registry.merged import merged
from unit.registry.ui.html import page
from unit.registry.world import World

PLACE = "ui/runs/digits/lineage"


def document(world: World, who: str = "admin", query: str = "") -> dict:
    answer = world.call(who, "GET", f"//{PLACE}?format=json&{query}")
    assert answer.status_code == 200, answer.text
    found: dict = answer.json()
    return found


def test_rounds_are_columns_and_clients_rows(world: World, aggregator):
    merged(world)
    drawn = document(world)["sheet"]
    assert [heading["text"] for heading in drawn["rounds"]] == ["Round 0", "Round 1", "Round 2"]
    assert [heading["text"] for heading in drawn["columns"]] == ["updates", "merged"] * 3
    assert [heading["text"] for heading in drawn["rows"]] == ["base", "vqa-1", "vqa-2"]
    assert len(drawn["spots"]) == document(world)["nodes"]
    assert len(drawn["lines"]) == document(world)["links"]


def test_lines_go_from_left_to_right_and_tell_weight_and_distance(world: World, aggregator):
    merged(world)
    drawn = document(world)["sheet"]
    told = [line["title"] for line in drawn["lines"]]
    assert "weight 0.25, distance 1.5" in told
    assert "weight 0.75, distance 0" in told
    assert told.count("where it began") == 4
    for line in drawn["lines"]:
        begin, end = (drawn["spots"][number] for number in line["ends"])
        assert begin["x"] < end["x"]
        assert line["dashed"] == (line["title"] == "where it began")


def test_every_version_is_a_link_that_leads_to_it(world: World, aggregator):
    made = merged(world)
    links = [link for link in page(world, "admin", PLACE).links if link.startswith("/ui/adapters/digits/")]
    commits = set()
    for link in links:
        parts = urlsplit(link)
        repo, revision = parts.path.removeprefix("/ui/adapters/"), parse_qs(parts.query)["rev"][0]
        commits.add(world.call("admin", "GET", f"/adapters/{repo}/versions/{revision}").json()["commit"])
    assert set(made.commits.values()) <= commits


def test_a_viewer_sees_hidden_parents_as_names_that_lead_nowhere(world: World, aggregator):
    merged(world, solo=True)
    shown = page(world, "viewer", PLACE)
    assert "vqa-1 update, round 1, not for you" in shown.text
    assert not any("update" in link or "vqa-2-connector" in link for link in shown.links)
    table = page(world, "viewer", f"{PLACE}?view=table")
    assert "client-vqa-2-update" in table.text
    assert not any("update" in link for link in table.links)


def test_the_table_has_everything_by_pages(world: World, aggregator):
    merged(world)
    found = document(world, query="view=table")
    assert found["sheet"] is None
    api = world.call("admin", "GET", "/lineage?run=digits").json()["edges"]
    told = {
        (line["child"], line["child_commit"], line["parent"], line["coefficient"], line["distance"])
        for line in found["lines"]
    }
    assert told == {
        (e["child"]["repo"], e["child"]["commit"], e["parent"]["repo"], e["coefficient"], e["distance"]) for e in api
    }
    assert [line["round"] for line in found["lines"]] == sorted(
        (line["round"] for line in found["lines"]), reverse=True
    )
    assert document(world, query="view=table&cursor=WzNd")["lines"] == found["lines"][3:]


@pytest.mark.parametrize("query", ["client=vqa-2", "round=1", "kind=connector", "client=vqa-1&round=2"])
def test_filters_are_the_apis(world: World, aggregator, query: str):
    merged(world)
    api = world.call("admin", "GET", f"/lineage?run=digits&{query}").json()
    assert document(world, query=query)["links"] == len(api["edges"])
    assert document(world, query=query)["nodes"] == len(api["nodes"])


def test_an_unknown_run_leads_to_near_names_and_a_young_one_says_what_will_come(world: World, aggregator):
    shown = page(world, "viewer", "ui/runs/digitz/lineage", status=404)
    assert "/ui/runs/digits" in shown.links
    young = World(world.app, run="young", uid="uid-young")
    young.grant("base", 0)
    assert "will stand here" in page(world, "viewer", "ui/runs/young/lineage").text
    assert "Show all" in page(world, "viewer", f"{PLACE}?client=nobody").text


def test_the_page_needs_no_aggregator(world: World, aggregator):
    merged(world)
    aggregator.away = True
    assert page(world, "viewer", PLACE)
    assert not aggregator.calls


# -- large


def test_two_hundred_clients_and_five_rounds_stay_small_and_say_what_is_left_out(world: World, aggregator):
    seed_large(world, clients=200, rounds=5)
    answer = world.call("admin", "GET", "//ui/runs/large/lineage", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < 150_000
    text = page(world, "admin", "ui/runs/large/lineage").text
    assert "lines are left out" in text
    assert "those of a weight below" in text
    one = world.call("admin", "GET", "//ui/runs/large/lineage?format=json&client=c7").json()["sheet"]
    assert (one["left_out"], one["threshold"]) == (0, None)


def seed_large(world: World, clients: int, rounds: int) -> None:
    """Rows only: a mixture of six updates for everybody in each round."""
    versions, edges, number = [], [], 1000
    last = dict.fromkeys(range(clients), number)
    for round_ in range(1, rounds + 1):
        ids: dict[tuple[str, int], int] = {}
        for kind in ("update", "text"):
            for client in range(clients):
                number += 1
                ids[kind, client] = number
                versions.append(row(number, kind, client, round_))
        for client in range(clients):
            edges.append(edge(ids["update", client], 0, "text", client, last[client], None))
            for position in range(6):
                other = (client * 7 + position * 31) % clients
                weight = (1 + (client * 13 + position * 29 + round_) % 97) / 97
                edges.append(edge(ids["text", client], position, "update", other, ids["update", other], weight))
            last[client] = ids["text", client]
    with world.app.state.registry.database.writing() as session:
        session.add(Namespace(run="large", uid="uid-large"))
        session.execute(insert(Version), versions)
        session.execute(insert(Edge), edges)


def row(number: int, kind: str, client: int, round_: int) -> dict:
    known = {"id": number, "uid": "uid-large", "run": "large", "kind": kind, "round": round_, "client": f"c{client}"}
    hidden = {"private_to": f"c{client}" if kind == "update" else None, "manifest": "{}", "created_at": "2026-01-01"}
    return {**known, **hidden, "repo": f"large/client-c{client}-{kind}", "commit": f"{number:040x}", "task": "t"}


def edge(child: int, position: int, kind: str, parent: int, number: int, weight: float | None) -> dict:
    ref = {"parent_repo": f"large/client-c{parent}-{kind}", "parent_commit": f"{number:040x}"}
    return {"version_id": child, "position": position, **ref, "coefficient": weight}


# -- pure


def node(name: str, round_: int | None = 1, visible: bool = True, **more) -> Node:
    return Node(f"r/{name}", f"{abs(hash((name, round_))):040x}"[:40], round=round_, visible=visible, **more)


@pytest.mark.parametrize(
    ("found", "row"),
    [
        (node("client-a-update", client="a", task="t"), Row("client", "a")),
        (node("client-a-b-text", None, visible=False), Row("client", "a-b")),
        (node("client-base-update", 0, client="base"), Row("base", "base")),
        (node("base-text", 0), Row("base", "base")),
        (node("task-t-connector", task="t"), Row("task", "t")),
        (node("task-t-connector", None, visible=False), Row("task", "t")),
        (node("global-text"), Row("all", "everybody")),
        (Node("released/good", "c" * 40, "text", 1, "a", None, True), Row("client", "a")),
    ],
)
def test_a_version_stands_in_the_row_of_whose_it_is(found: Node, row: Row):
    assert row_of(found) == row


def test_a_hidden_update_stands_in_the_round_of_what_was_made_of_it():
    hidden, made = node("client-a-update", None, visible=False), node("client-a-text", 3, client="a")
    drawn = sheet(Graph((made, hidden), (Link(made, hidden, 1.0),)), "r")
    assert [heading.text for heading in drawn.rounds] == ["Round 3"]
    assert [heading.text for heading in drawn.columns] == ["updates", "merged"]


def test_what_comes_from_another_run_stands_before_all_rounds():
    old, update = (
        Node("old/client-a-text", "c" * 40, "text", 5, "a", None, True),
        node("client-a-update", 1, client="a"),
    )
    drawn = sheet(Graph((update, old), (Link(update, old, None),)), "r")
    assert [heading.text for heading in drawn.rounds] == ["Other runs", "Round 1"]
    assert any("rev=" + "c" * 40 in spot.url for spot in drawn.spots)


def test_two_versions_in_one_cell_stand_below_each_other():
    both = (node("client-a-text", client="a"), node("client-a-connector", client="a"))
    drawn = sheet(Graph(both, ()), "r")
    assert len({(spot.x, spot.y) for spot in drawn.spots}) == 2


def weights(*values: float | None) -> Graph:
    child = node("global-text")
    parents = [node(f"client-c{i}-update", client=f"c{i}") for i in range(len(values))]
    links = tuple(Link(child, parent, value) for parent, value in zip(parents, values, strict=True))
    return Graph((child, *parents), links)


@pytest.mark.parametrize(
    ("values", "kept", "threshold"),
    [
        ((0.1, 0.2, 0.3), 3, None),
        ((0.1, 0.2, 0.3, 0.4), 3, 0.2),
        ((0.1, -0.9, 0.3, 0.4), 3, 0.3),
        ((0.4, 0.3, 0.2, 0.2), 2, 0.3),
        ((0.4, None, None, None, None), 3, None),
        ((0.5, 0.5, 0.5, 0.5), 0, None),
    ],
)
def test_only_the_heaviest_lines_are_drawn_and_equal_ones_stay_or_go_together(monkeypatch, values, kept, threshold):
    monkeypatch.setattr(run_graph, "MOST_LINES", 3)
    drawn = sheet(weights(*values), "r")
    assert (len(drawn.lines), drawn.left_out, drawn.threshold) == (kept, len(values) - kept, threshold)


def test_the_script_reads_what_the_drawing_says(world: World, aggregator):
    """Every line names two versions that are there."""
    merged(world)
    html = world.call("admin", "GET", f"//{PLACE}").text
    numbers = {int(part.split('"')[0]) for part in html.split('data-n="')[1:]}
    ends = [tuple(map(int, part.split('"')[0].split())) for part in html.split('data-e="')[1:]]
    assert len(ends) == document(world)["links"]
    assert {number for pair in ends for number in pair} <= numbers == set(range(len(numbers)))
