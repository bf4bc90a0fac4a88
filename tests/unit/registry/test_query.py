"""The words of a search: filters, names, commits and digests."""

import pytest
from databases import every_database  # noqa: F401
from pilot_http.problems import Invalid
from pilot_registry.query import Search, as_parameters, digest_prefix, read
from unit.registry.world import World, problem

FOUND = [
    ("", Search()),
    ("  text  ", Search(words=("text",))),
    ("run:digits kind:text", Search(run="digits", kind="text")),
    ("Client:vqa-1 TEXT round:3", Search(client="vqa-1", round=3, words=("text",))),
    ("state:deleted task:vqa", Search(state="deleted", task="vqa")),
    ("sha256:00ff00", Search(words=("sha256:00ff00",))),
    ("run:a run:b", Search(run="b")),
    ("client:a:b", Search(client="a:b")),
]


@pytest.mark.parametrize(("q", "found"), FOUND)
def test_words_are_filters_where_they_have_a_colon_and_text_where_not(q: str, found: Search):
    assert read(q, Search()) == found


def test_a_word_holds_before_the_filter_of_its_name():
    assert read("run:b x", Search(run="a", kind="text")) == Search(run="b", kind="text", words=("x",))
    assert read(None, Search(run="a")) == Search(run="a")


@pytest.mark.parametrize(
    ("q", "hint"),
    [
        ("ruin:digits", "did you mean run?"),
        ("repo:x", "filters: run, client, task, kind, round, state"),
        ("kind:txt", "did you mean text?"),
        ("state:dead", "states: live, deleted"),
        ("round:three", "round:N"),
        ("round:-1", "round:N"),
        ("round:\N{ARABIC-INDIC DIGIT THREE}", "round:N"),
        ("round:99999999", "round:N"),
        ("run:", "run:VALUE"),
        (":x", "filters"),
    ],
)
def test_a_word_that_cannot_be_meant_says_what_could(q: str, hint: str):
    with pytest.raises(Invalid) as refused:
        read(q, Search())
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("word", "prefix"),
    [
        ("0a1b2c", "sha256:0a1b2c"),
        ("sha256:0a1b2c", "sha256:0a1b2c"),
        ("0a1b2", None),
        ("0a1b2g", None),
        ("f" * 65, None),
    ],
)
def test_six_digits_may_begin_a_digest(word: str, prefix: str | None):
    assert digest_prefix(word) == prefix


@pytest.mark.parametrize("q", [q for q, _ in FOUND])
def test_a_search_survives_being_a_query(q: str):
    sought = read(q, Search())
    asked = dict(as_parameters(sought))
    words = asked.pop("q", None)
    number = asked.pop("round", None)
    assert read(words, Search(**asked, round=int(number) if number else None)) == sought


def found(world: World, **query: object) -> set[str]:
    items = world.call("admin", "GET", "/adapters", params=query).json()["items"]
    return {item["repo"].partition("/")[2] for item in items}


def test_the_listing_understands_words(world: World):
    digest = world.schema["connector"].files["model.safetensors"].digest
    both = {"base-connector", "client-base-update"}
    assert found(world, q="run:digits") == both
    assert found(world, q="run:digits kind:connector") == {"base-connector"}
    assert found(world, q="base connector") == {"base-connector"}
    assert found(world, q="run:other", run="digits") == set()
    for word in (digest, digest[:15], digest.removeprefix("sha256:")[:6].upper()):
        assert found(world, q=word) == both, "the base is the update's own file"
    assert found(world, q="sha256:" + "0" * 12) == set()
    assert problem(world.call("viewer", "GET", "/adapters?q=knd:text")) == (422, "invalid")


def test_a_digest_finds_only_what_one_may_see(world: World):
    digest = world.schema["connector"].files["model.safetensors"].digest
    items = world.call("viewer", "GET", "/adapters", params={"q": digest}).json()["items"]
    assert [item["repo"] for item in items] == ["digits/base-connector"]
