"""Cards as HTML: what Markdown may do on a page, and what it may not."""

import pytest
from pilot_registry.hub.card import CardFacts, card
from pilot_registry.ui.markdown import markdown, without_head
from unit.registry.test_hub_card import COMMIT, HOSTILE, manifest
from unit.registry.ui.html import read


def test_headings_stand_below_those_of_the_page():
    assert str(markdown("# one\n\n## two")) == "<h3>one</h3>\n<h4>two</h4>\n"


def test_tables_code_and_lists_are_drawn():
    made = str(markdown("| a | b |\n| --- | :-: |\n| `x` | **y** |\n\n- item\n\n```python\nprint(1)\n```"))
    for part in ("<table>", "<code>x</code>", "<strong>y</strong>", "<li>item</li>", "print(1)"):
        assert part in made
    assert "style" not in made, "an aligned column would be written as a style"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <b onclick=x>b</b>",
        "[x](javascript:alert(1))",
        "![x](https://elsewhere/x.png)",
        "<https://elsewhere>",
        "[x]: https://elsewhere\n\n[x]",
    ],
)
def test_nothing_runs_and_nothing_is_fetched(text: str):
    made = read(str(markdown(text)))
    assert (made.links, made.assets) == ([], [])
    assert "<script" not in str(markdown(text))
    assert "<b" not in str(markdown(text))


@pytest.mark.parametrize("foreign", HOSTILE)
def test_a_card_of_hostile_names_is_a_card(foreign: str):
    text = card(CardFacts(COMMIT, manifest(task=foreign, client=foreign, model=foreign))).decode()
    made = read(str(markdown(without_head(text))))
    assert (made.links, made.assets, made.actions) == ([], [], [])


def test_only_the_head_is_cut_off():
    assert without_head("---\na: 1\n---\n\ntext\n\n---\n\nmore") == "\ntext\n\n---\n\nmore"
    assert without_head("text") == "text"
