"""Updates that stand out from their peers."""

import pytest
from pilot_aggregator.rounds.gate import Measurement, flags, marks
from pilot_aggregator.store.documents import load


def measured(norms, to_peers=None):
    """The norm of each client's change, and its mean distance to its peers: one unit but for those named."""
    clients = tuple(sorted(norms))
    return Measurement(
        "euclidean", clients, (), tuple(norms[c] for c in clients), to_peers or dict.fromkeys("abc", 1.0)
    )


def test_nobody_stands_out_among_equals():
    assert flags(measured({"a": 1.0, "b": 1.0, "c": 1.0, "x": 1.0}), 10.0) == {}


@pytest.mark.parametrize(("norm", "marked"), [(10.0, False), (10.001, True)])
def test_a_norm_is_marked_above_the_ratio_to_the_median(norm, marked):
    found = flags(measured({"a": 1.0, "b": 1.0, "c": norm, "x": 1.0}), 10.0)
    assert found == ({"c": ("norm_outlier",)} if marked else {})


def test_a_small_change_is_no_mark():
    assert flags(measured({"a": 1.0, "b": 1.0, "c": 1e-9, "x": 1.0}), 10.0) == {}


@pytest.mark.parametrize(("mean", "marked"), [(20.0, False), (20.001, True)])
def test_a_client_far_from_the_others_of_its_task_is_suspicious(mean, marked):
    found = flags(measured(dict.fromkeys("abcx", 1.0), {"a": 10.0, "b": 10.0, "c": mean}), 2.0)
    assert found == ({"c": ("suspicious",)} if marked else {})


def test_a_client_without_peers_bears_no_mark_of_them():
    apart = marks(measured(dict.fromkeys("abcdx", 1.0), dict.fromkeys("abcd", 1.0)), 2.0)[1]
    assert "x" not in apart.values


def test_both_marks_are_borne_together():
    norms = dict.fromkeys("abcd", 1.0) | {"e": 50.0}
    apart = dict.fromkeys("abcd", 1.0) | {"e": 100.0}
    assert flags(measured(norms, apart), 2.0) == {"e": ("norm_outlier", "suspicious")}


def test_fewer_than_three_are_no_crowd_to_stand_out_from():
    assert flags(measured({"a": 1.0, "b": 1e9}, {"a": 1.0, "b": 1e9}), 10.0) == {}


def test_a_mark_tells_what_it_compared_and_where_its_limit_is():
    norms, apart = marks(measured({"a": 1.0, "b": 2.0, "c": 9.0, "x": 2.0}), 3.0)
    assert (norms.name, norms.values["b"], norms.median, norms.limit, norms.bearers) == (
        *("norm_outlier", 2.0, 2.0, 6.0),
        ["c"],
    )
    assert (apart.name, set(apart.values), apart.median, apart.limit) == ("suspicious", {"a", "b", "c"}, 1.0, 3.0)


def test_a_round_that_was_stored_before_means_were_measured_is_read():
    stored = '{"metric": "euclidean", "clients": ["a", "b"], "matrix": [[0, 1], [1, 0]], "change_norms": [1.0, 1.0]}'
    assert marks(load(Measurement, stored), 2.0)[1].values == {}


def test_without_a_crowd_there_is_no_limit():
    norms, apart = marks(measured({"a": 1.0, "b": 1e9}, {"a": 1.0, "b": 1.0}), 10.0)
    assert (norms.values, norms.median, norms.limit, norms.bearers) == ({"a": 1.0, "b": 1e9}, None, None, [])
    assert apart.limit is None
