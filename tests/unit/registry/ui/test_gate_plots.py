"""What the gate compared, as strips."""

import pytest
from pilot_proto.plan import GateCheck
from pilot_registry.ui.views.gate_plots import strip, strips


def check(values, limit_times=10.0, **more):
    known = sorted(values.values())
    middle = known[len(known) // 2] if len(known) >= 3 else None
    limit = middle * limit_times if middle is not None else None
    flagged = tuple(c for c, v in values.items() if limit is not None and v > limit)
    return GateCheck(
        **{"kind": "text", "mark": "norm_outlier", "values": values, "median": middle, "limit": limit}
        | {"flagged": flagged, **more}
    )


def test_dots_and_limit_stand_where_their_values_are():
    made = strip(check({"a": 1.0, "b": 2.0, "c": 3.0}, 2.0))
    places = {dot.client: dot.x for dot in made.dots}
    assert places["a"] < places["b"] == made.median_x < places["c"] < made.limit_x
    assert not made.logarithmic
    assert made.words == "3 updates, median 2, limit 4; nobody stands out"


def test_who_stands_out_is_named_and_beyond_the_limit():
    made = strip(check({"a": 1.0, "b": 1.0, "c": 25.0}))
    (dot,) = [dot for dot in made.dots if dot.flagged]
    assert dot.client == "c"
    assert dot.x > made.limit_x
    assert made.words.endswith("above it: c")


def test_one_far_away_does_not_press_the_others_into_a_dot():
    made = strip(check({"a": 1.0, "b": 1.5, "c": 2.0, "d": 1e6}))
    places = [dot.x for dot in made.dots]
    assert made.logarithmic
    assert len(set(places)) == 4
    assert all(0 <= x <= 100 for x in places)


@pytest.mark.parametrize(
    "values",
    [
        {"a": 0.0, "b": 0.0, "c": 0.0},
        {"a": 0.0, "b": 1.0, "c": 1e9},
        {"a": 1.0},
        {"a": 5.0, "b": 5.0, "c": 5.0},
        {"a": 1e-300, "b": 1e300, "c": 1.0},
    ],
)
def test_strange_values_can_be_drawn(values):
    made = strip(check(values))
    assert all(0 <= dot.x <= 100 for dot in made.dots)
    assert [row.cells[0].text for row in made.table.rows] == sorted(values, key=lambda c: (-values[c], c))


def test_where_all_is_far_from_zero_the_strip_begins_at_the_least():
    made = strip(check({"a": 5.0, "b": 5.2, "c": 5.6}, 1.05))
    assert made.ends[0] == "5"
    assert min(dot.x for dot in made.dots) == 2
    assert made.close or made.limit_x > made.median_x + 14
    assert strip(check({"a": 1.0, "b": 5.0, "c": 5.6}, 1.05)).ends[0] == "0"


def test_labels_that_would_touch_go_apart():
    assert strip(check({"a": 1.0, "b": 1.0, "c": 1.5}, 1.01)).close
    assert not strip(check({"a": 1.0, "b": 1.0, "c": 1.0})).close


def test_two_are_no_crowd_and_nothing_is_no_strip():
    assert "no crowd" in strip(check({"a": 1.0, "b": 9.0})).words
    assert strips([check({}), check({"a": 1.0})])[0].dots[0].client == "a"
    assert len(strips([check({})])) == 0


def test_the_table_has_the_values_the_largest_first():
    table = strip(check({"a": 1.0, "b": 30.0, "c": 1.0})).table
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["b", "30", "30.00", "flagged"],
        ["a", "1", "1.00", ""],
        ["c", "1", "1.00", ""],
    ]
