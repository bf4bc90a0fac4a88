"""The list of adapters: filters and words, pages, what is marked and what may be chosen."""

from urllib.parse import parse_qs, urlsplit

import pytest
from unit.registry.merged import merged
from unit.registry.ui.html import page, read
from unit.registry.ui.test_runs import POSTED
from unit.registry.world import World


def listed(world: World, who: str, query: str = "") -> list[dict]:
    items: list[dict] = world.call(who, "GET", f"//ui/adapters?format=json&{query}").json()["items"]
    return items


@pytest.mark.parametrize(
    "query",
    [
        "kind=connector&round=1",
        "q=kind:connector+round:1",
        "q=round:1&kind=connector",
        "client=vqa-1&kind=connector&q=round:1",
    ],
)
def test_the_page_lists_what_the_api_lists_for_the_same_query(world: World, query: str):
    merged(world)
    found = world.call("admin", "GET", f"/adapters?{query}").json()["items"]
    assert found
    assert [(i["repo"], i["commit"]) for i in listed(world, "admin", query)] == [
        (i["repo"], i["commit"]) for i in found
    ]


def test_filters_left_empty_were_not_given(world: World):
    assert listed(world, "admin", "run=&kind=&client=&task=&round=&state=&q=") == listed(world, "admin")


def test_words_become_filters_that_the_form_shows(world: World):
    html = world.call("viewer", "GET", "//ui/adapters?q=run:digits+kind:connector+base").text
    assert 'name="run" value="digits"' in html
    assert "<option selected>connector</option>" in html
    assert 'name="q" value="base" maxlength="300"' in html


def test_a_search_that_cannot_be_meant_is_told_where_it_can_be_put_right(world: World):
    made = page(world, "viewer", "ui/adapters?q=ruin:digits&kind=text", status=422)
    assert "did you mean run?" in made.text
    assert "get /ui/adapters" in made.actions
    assert page(world, "viewer", "ui/adapters?round=three", status=422)


def test_a_page_leads_to_the_next_with_the_same_filters(world: World):
    merged(world)
    seen: list[str] = []
    where = "ui/adapters?kind=connector&limit=2"
    while where:
        made = page(world, "viewer", where)
        seen += [link for link in made.links if link.startswith("/ui/adapters/digits/")]
        where = next((link[1:] for link in made.links if "cursor=" in link and "format" not in link), "")
    assert len(seen) == len(set(seen)) == 5


def test_marks_say_what_is_private_or_deleted_and_neither_can_be_chosen(world: World):
    made = merged(world, rounds=1, solo=True)
    world.call("aggregator", "POST", f"/rounds/{world.uid}/1/retire")
    html = world.call("admin", "GET", "//ui/adapters?round=1").text
    text = read(html).text
    assert text.count("private") == 3
    assert text.count("deleted") == 2 + 1, "two updates, and the filter's own word"
    chosen = [part.partition('"')[0] for part in html.split('name="pick" value="')[1:]]
    assert chosen == [f"digits/client-vqa-1-connector@{made.commit('client-vqa-1-connector', 1)}"]
    assert "get /ui/compare" in read(html).actions


def test_a_viewer_sees_what_the_api_shows_a_viewer(world: World):
    merged(world, solo=True)
    for who in ("viewer", "operator", "admin"):
        api = {i["commit"] for i in world.call(who, "GET", "/adapters?limit=200").json()["items"]}
        assert {i["commit"] for i in listed(world, who, "limit=200")} == api


def test_aliases_of_people_stand_first(world: World):
    made = merged(world, rounds=1)
    path = "/adapters/digits/client-vqa-1-connector/aliases/zz"
    commit = made.commit("client-vqa-1-connector", 1)
    world.call("operator", "PUT", path, json={"commit": commit}, headers={"if-none-match": "*"})
    (line,) = [i for i in listed(world, "viewer", "round=1") if i["commit"] == commit]
    assert line["aliases"] == ["zz", "main", "round-1"]


def test_an_empty_list_says_what_would_be_here(tmp_path):
    from unit.registry.world import app_in

    world = World(app_in(tmp_path / "registry"))
    assert "pilot run -f run.yaml" in page(world, "viewer", "ui/adapters").text
    assert "Show all" in page(world, "viewer", "ui/adapters?run=nothing").text
    world.app.state.registry.database.close()


def test_the_list_works_while_the_aggregator_is_away(world: World, aggregator):
    aggregator.away = True
    assert "/ui/adapters/digits/base-connector" in [
        urlsplit(link).path for link in page(world, "viewer", "ui/adapters").links
    ]
    assert not aggregator.calls


def test_each_line_leads_to_its_version_by_commit(world: World):
    made = merged(world, rounds=1)
    links = page(world, "viewer", "ui/adapters?round=1").links
    commits = [parse_qs(urlsplit(link).query).get("rev") for link in links if "/ui/adapters/digits/client" in link]
    assert [made.commit("client-vqa-1-connector", 1)] in commits


def test_a_listing_cannot_be_posted_to(world: World):
    assert world.call("viewer", "POST", "//ui/adapters", headers=POSTED).status_code == 405
