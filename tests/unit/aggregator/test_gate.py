"""Updates that stand out from their peers."""

import pytest
from pilot_aggregator.rounds.gate import Measurement, flags, marks

TASKS = {"a": "vqa", "b": "vqa", "c": "vqa", "x": "caption"}


def measured(norms, apart=None):
    """Everybody one unit from everybody, except those named in `apart`."""
    apart = apart or {}
    clients = tuple(sorted(norms))
    matrix = tuple(
        tuple(0.0 if i == j else max(apart.get(i, 1.0), apart.get(j, 1.0)) for j in clients) for i in clients
    )
    return Measurement("euclidean", clients, matrix, tuple(norms[c] for c in clients))


def test_nobody_stands_out_among_equals():
    assert flags(measured({"a": 1.0, "b": 1.0, "c": 1.0, "x": 1.0}), TASKS, 10.0) == {}


@pytest.mark.parametrize(("norm", "marked"), [(10.0, False), (10.001, True)])
def test_a_norm_is_marked_above_the_ratio_to_the_median(norm, marked):
    found = flags(measured({"a": 1.0, "b": 1.0, "c": norm, "x": 1.0}), TASKS, 10.0)
    assert found == ({"c": ("norm_outlier",)} if marked else {})


def test_a_small_change_is_no_mark():
    assert flags(measured({"a": 1.0, "b": 1.0, "c": 1e-9, "x": 1.0}), TASKS, 10.0) == {}


def test_a_client_far_from_the_others_of_its_task_is_suspicious():
    found = flags(measured(dict.fromkeys("abcx", 1.0), {"b": 100.0}), TASKS, 2.0)
    # a and c are 100 from b and 1 from each other: half as far in the mean, and the median of the three means.
    assert found == {}
    more = TASKS | {"d": "vqa", "e": "vqa"}
    assert flags(measured(dict.fromkeys("abcdex", 1.0), {"b": 100.0}), more, 2.0) == {"b": ("suspicious",)}


def test_distance_to_other_tasks_is_no_mark():
    tasks = {"a": "vqa", "b": "vqa", "c": "vqa", "d": "vqa", "x": "caption"}
    assert flags(measured(dict.fromkeys("abcdx", 1.0), {"x": 1e6}), tasks, 2.0) == {}


def test_both_marks_are_borne_together():
    tasks = dict.fromkeys("abcde", "vqa")
    norms = dict.fromkeys("abcd", 1.0) | {"e": 50.0}
    assert flags(measured(norms, {"e": 100.0}), tasks, 2.0) == {"e": ("norm_outlier", "suspicious")}


def test_fewer_than_three_are_no_crowd_to_stand_out_from():
    assert flags(measured({"a": 1.0, "b": 1e9}), TASKS, 10.0) == {}


def test_a_mark_tells_what_it_compared_and_where_its_limit_is():
    norms, apart = marks(measured({"a": 1.0, "b": 2.0, "c": 9.0, "x": 2.0}), TASKS, 3.0)
    assert (norms.name, norms.values["b"], norms.median, norms.limit, norms.bearers) == (
        *("norm_outlier", 2.0, 2.0, 6.0),
        ["c"],
    )
    assert (apart.name, set(apart.values), apart.median, apart.limit) == ("suspicious", {"a", "b", "c"}, 1.0, 3.0)


def test_without_a_crowd_there_is_no_limit():
    norms, apart = marks(measured({"a": 1.0, "b": 1e9}), TASKS, 10.0)
    assert (norms.values, norms.median, norms.limit, norms.bearers) == ({"a": 1.0, "b": 1e9}, None, None, [])
    assert apart.limit is None


def test_part_of_a_measurement_keeps_rows_and_columns_together():
    whole = Measurement("euclidean", ("a", "b", "c"), ((0, 1, 2), (1, 0, 3), (2, 3, 0)), (7, 8, 9))
    part = whole.of(["c", "a"])
    assert part == Measurement("euclidean", ("a", "c"), ((0, 2), (2, 0)), (7, 9))


def test_a_condensed_measurement_bears_the_same_marks_without_the_matrix():
    whole = measured({"a": 1.0, "b": 1.0, "c": 40.0, "x": 2.0}, {"c": 40.0})
    condensed = whole.condensed(TASKS)
    assert condensed.matrix == ()
    assert marks(condensed, TASKS, 1.5) == marks(whole, TASKS, 1.5)
    assert flags(condensed, TASKS, 1.5) == {"c": ("norm_outlier", "suspicious")}
