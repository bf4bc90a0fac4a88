"""Two adapters side by side: choosing them, what is told, and to whom."""

import csv
import io
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from pilot_proto.registry import TensorComparison
from pilot_registry.ui.views.differences import Difference, differences
from pilot_registry.ui.views.layers import layer_bars, layers
from pilot_registry.ui.views.tensor_names import common_beginning, in_order, layer_of
from unit.registry.merged import Merged, merged
from unit.registry.published import one_text_adapter
from unit.registry.ui.html import page
from unit.registry.ui.test_adapter import report
from unit.registry.world import World

REPO = "digits/client-vqa-1-connector"


@pytest.fixture
def made(world: World, aggregator) -> Merged:
    aggregator.tell("runs/digits/report", report())
    return merged(world)


def place(a: str, b: str, **more: str) -> str:
    return f"ui/compare?{urlencode({'a': a, 'b': b, **more})}"


def document(world: World, who: str, a: str, b: str, **more: str) -> dict:
    answer = world.call(who, "GET", f"//{place(a, b, format='json', **more)}")
    assert answer.status_code == 200, answer.text
    found: dict = answer.json()
    return found


def rounds(made: Merged) -> tuple[str, str]:
    first, second = (f"{REPO}@{made.commit('client-vqa-1-connector', number)}" for number in (1, 2))
    return first, second


def test_the_page_tells_what_the_api_computes(world: World, made: Merged):
    a, b = rounds(made)
    api = world.call("viewer", "GET", "/compare", params={"a": a, "b": b}).json()
    found = document(world, "viewer", f"{REPO}@round-1", f"{REPO}@main")
    for name in ("l2", "cosine", "relative", "only_in_a", "only_in_b", "different_shape", "tensors"):
        assert found[name] == api[name], name
    text = page(world, "viewer", place(a, b)).text
    assert "a.weight" in text
    assert "round 1 against round 2" in text


def test_swap_permalink_and_csv_name_both_by_commit(world: World, made: Merged):
    a, b = rounds(made)
    links = page(world, "viewer", place(f"{REPO}@round-1", f"{REPO}@round-2")).links
    queries = [parse_qs(urlsplit(link).query) for link in links if link.startswith("/ui/compare?")]
    assert {"a": [b], "b": [a]} in queries, "swapped"
    assert {"a": [a], "b": [b]} in queries
    (file,) = [link for link in links if link.startswith("/ui/compare.csv")]
    answer = world.call("viewer", "GET", f"/{file}")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    found = document(world, "viewer", a, b)["tensors"]
    assert [(row["name"], float(row["l2"])) for row in rows] == [(t["name"], t["l2"]) for t in found]
    assert rows[0]["shape"] == "4x3"


def test_records_and_settings_that_differ_stand_beside_each_other(world: World, made: Merged):
    a, b = rounds(made)
    fields = {each["field"]: (each["a"], each["b"]) for each in document(world, "viewer", a, b)["manifest"]}
    assert fields["round"] == ("1", "2")
    assert set(fields) == {"round", "plan"}
    assert "Their configuration files say the same" in page(world, "viewer", place(a, b)).text


def test_settings_are_read_from_the_configuration_files(world: World, aggregator):
    one_text_adapter(world)
    found = document(world, "viewer", "digits/base-connector@main", "digits/client-vqa-1-text@main")
    assert {"field": "peft_type", "a": "", "b": "LORA"} in found["config"]
    assert found["identical"] is False
    assert found["only_in_a"] == ["model.safetensors:a.weight", "model.safetensors:b.bias"]
    assert (
        "No tensor has the same name and shape"
        in page(world, "viewer", place("digits/base-connector@main", "digits/client-vqa-1-text@main")).text
    )


def test_a_version_and_itself_are_the_same(world: World, made: Merged):
    a, _ = rounds(made)
    assert document(world, "viewer", a, a)["identical"] is True
    assert "value by value" in page(world, "viewer", place(a, a)).text


def test_common_ancestors_are_told_as_far_as_they_may_be_seen(world: World, made: Merged):
    a, b = rounds(made)
    found = document(world, "admin", a, b)
    assert [(node["commit"], node["itself"]) for node in found["meeting"]] == [(a.partition("@")[2], "a")]
    assert "A is an ancestor of B" in page(world, "admin", place(a, b)).text
    other = f"digits/client-vqa-2-connector@{made.commit('client-vqa-2-connector', 2)}"
    shown = page(world, "viewer", place(b, other))
    assert "Both were made of these, 1 step back" in shown.text
    assert shown.text.count("not for you") == 2
    assert not any("client-vqa-1-update" in link for link in shown.links)
    assert "no ancestor in common" in page(world, "viewer", place(a, b)).text


def test_metrics_of_both_are_compared_point_by_point(world: World, made: Merged):
    table = document(world, "viewer", *rounds(made))["metrics"]
    (row,) = [[cell["text"] for cell in row["cells"]] for row in table["rows"]]
    assert row[:5] == ["vqa-1", "exact-match", "25.0 %", "30.0 %", "+5.0"]
    assert row[5:] == ["50.0 %", "\N{EN DASH}", "\N{EN DASH}"]


def test_without_the_aggregator_only_the_metrics_are_missing(world: World, aggregator, made: Merged):
    aggregator.away = True
    found = document(world, "viewer", *rounds(made))
    assert found["metrics"] is None
    assert found["l2"] > 0
    assert "What was measured cannot be shown" in page(world, "viewer", place(*rounds(made))).text


def test_tensors_are_filtered_by_name(world: World, made: Merged):
    assert [t["name"] for t in document(world, "viewer", *rounds(made), name="bias")["tensors"]] == ["b.bias"]
    assert "No tensor of both" in page(world, "viewer", place(*rounds(made), name="zzz")).text


@pytest.mark.parametrize(("who", "status"), [("viewer", 404), ("operator", 404), ("admin", 403)])
def test_a_comparison_takes_the_strictest_of_both(world: World, aggregator, who: str, status: int):
    made = merged(world, solo=True)
    private = f"digits/client-vqa-2-connector@{made.commit('client-vqa-2-connector', 1)}"
    for a, b in ((private, "digits/base-connector@main"), ("digits/base-connector@main", private)):
        page(world, who, place(a, b), status=status)
        answer = world.call(who, "GET", f"//ui/compare.csv?{urlencode({'a': a, 'b': b})}")
        assert answer.status_code == status


def test_what_is_no_version_is_said(world: World, aggregator):
    assert "NAMESPACE/REPO@REVISION" in page(world, "viewer", place("x", "digits/base-connector@main"), status=422).text


def test_without_any_the_newest_are_offered(world: World, made: Merged):
    shown = page(world, "viewer", "ui/compare")
    assert f"/ui/compare?a={rounds(made)[1].replace('/', '/').replace('@', '%40')}" in shown.links
    assert "get /ui/compare" in shown.actions


def test_with_one_its_other_rounds_and_its_fellows_are_offered(world: World, made: Merged):
    a, b = rounds(made)
    found = world.call("viewer", "GET", f"//ui/compare?format=json&a={b}").json()
    assert found["chosen"]["commit"] == b.partition("@")[2]
    assert [line["commit"] for line in found["same"]] == [a.partition("@")[2]]
    assert [line["repo"] for line in found["others"]] == ["digits/client-vqa-2-connector"]
    searched = world.call("viewer", "GET", f"//ui/compare?format=json&a={b}&q=kind:connector+round:0").json()
    assert [line["repo"] for line in searched["others"]] == ["digits/base-connector"]
    assert "did you mean" in page(world, "viewer", f"ui/compare?a={b}&q=knd:text").text


def test_two_chosen_in_a_list_are_compared_and_of_three_nothing_is_guessed(world: World, made: Merged):
    a, b = rounds(made)
    answer = world.call("viewer", "GET", f"//ui/compare?{urlencode({'pick': [a, b]}, doseq=True)}")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/{place(a, b)}"
    three = urlencode({"pick": [a, b, "digits/base-connector@main"]}, doseq=True)
    assert "3 were chosen" in page(world, "viewer", f"ui/compare?{three}").text


def test_what_is_private_or_deleted_is_not_offered(world: World, aggregator):
    made = merged(world, solo=True)
    text = str(world.call("admin", "GET", "//ui/compare?format=json").json())
    assert made.commit("client-vqa-2-connector", 1) not in text
    assert made.commit("client-vqa-1-update", 1) not in text
    assert made.commit("client-vqa-1-connector", 1) in text


# -- pure


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        ({}, {}, []),
        ({"r": 8}, {"r": 8}, []),
        ({"r": 8}, {"r": 16}, [("r", "8", "16")]),
        ({"r": 8}, {}, [("r", "8", "")]),
        ({"x": {"y": [1], "z": 1}}, {"x": {"y": [1, 2], "z": 1}}, [("x.y", "[1]", "[1, 2]")]),
        ({"x": {}}, {"x": {"y": "text"}}, [("x", "{}", ""), ("x.y", "", "text")]),
        ({"a": None}, {"a": False}, [("a", "null", "false")]),
    ],
)
def test_differences_are_told_field_by_field(a, b, found):
    assert [(each.field, each.a, each.b) for each in differences(a, b)] == found


def test_a_long_value_is_cut():
    (found,) = differences({"x": "y" * 10_000}, {})
    assert found == Difference(field="x", a="y" * 400, b="")


@pytest.mark.parametrize(
    ("names", "beginning"),
    [
        ([], ""),
        (["a.b"], ""),
        (["m.layers.0.q", "m.layers.1.q"], "m.layers."),
        (["m.q", "n.q"], ""),
        (["weight", "bias"], ""),
        (["a.b.w", "a.b.w"], "a.b."),
    ],
)
def test_what_names_begin_with_is_whole_parts(names, beginning):
    assert common_beginning(names) == beginning


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("m.model.layers.3.self_attn.q_proj.lora_A.weight", "m.model.layers.3"),
        ("linear_1.weight", "linear_1"),
        ("linear_1.bias", "linear_1"),
        ("head.lora_B.weight", "head"),
        ("weight", "weight"),
        ("", ""),
    ],
)
def test_a_tensor_belongs_to_its_layer_or_its_module(name, layer):
    assert layer_of(name) == layer


def tensor(name: str, l2: float, norm: float) -> TensorComparison:
    return TensorComparison(file="f", name=name, shape=(1,), norm_a=norm, norm_b=norm, l2=l2)


def test_layers_add_up_in_order_of_their_numbers():
    found = layers([tensor("m.layers.10.w", 3, 5), tensor("m.layers.10.v", 4, 12), tensor("m.layers.9.w", 0, 0)])
    assert [(layer.name, layer.tensors, layer.l2, layer.relative) for layer in found] == [
        ("layers.9", 1, 0.0, None),
        ("layers.10", 2, 5.0, 5 / 13),
    ]
    assert sorted(["x.10", "x.9", "x", "y.1"], key=in_order) == ["x", "x.9", "x.10", "y.1"]


def test_the_longest_bar_is_the_largest_change_and_what_was_zero_has_none():
    drawn = layer_bars(layers([tensor("a.weight", 1, 4), tensor("b.weight", 1, 2), tensor("c.bias", 1, 0)]))
    assert [(bar.label, bar.value, bar.length) for bar in drawn.bars] == [("a", "0.25", 210.0), ("b", "0.5", 420.0)]
    assert layer_bars(layers([])).bars == ()


def test_foreign_layer_names_are_cut_in_the_drawing():
    (bar,) = layer_bars(layers([tensor("<script>" * 100 + ".weight", 1, 1)])).bars
    assert len(bar.label) == 32
