"""Equations 11 and 12 in all their readings, against the worked vectors T1 and a second, naive writing."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilot_aggregator.merge.mixture import Member
from pilot_aggregator.merge.rules import RULES
from pilot_aggregator.merge.rules.nearest import COMBINE, capped, closeness, closest

THETA_K2 = np.array([(0, 0), (3, 4), (0, 1), (6, 8)], dtype=np.float64)
N_K = (10, 20, 30, 40)

T1 = {
    "convex": [(5 / 12, 1.25), (1, 1.6939806252), (0.2861153547, 0.8814871397), (3.747285492, 5.1917299365)],
    "literal": [
        (1 / 6, 23 / 36),
        (1, 1.6038188022),
        (0.1907435698, 0.7543247598),
        (3.0989141968, 4.249095164),
    ],
    "literal-renorm": [
        (6 / 23, 1),
        (1.469888642, 2.3574350411),
        (0.2730926863, 1.0799869959),
        (4.3910356017, 6.0207953351),
    ],
    "size-distance": [
        (5 / 17, 1.1274509804),
        (1, 1.8530125272),
        (0.4805658615, 1.140754482),
        (3.5857053084, 5.0301497529),
    ],
}
T1_LITERAL_SUMS = (23 / 36, 0.6803236459, 0.6984572616, 0.7057365228)


def members_of(n_K):
    return [Member(f"client-{k:02d}", "task", n) for k, n in enumerate(n_K)]


def distances_of(theta_Kn):
    return np.linalg.norm(theta_Kn[:, None] - theta_Kn[None, :], axis=-1).tolist()


def rows_of(n_K, distances_KK, **options):
    return np.array(RULES["nearest"].mix(members_of(n_K), distances_KK, options).coefficients)


def naive_row(k, n_K, distances_KK, m, combine):
    near = sorted((i for i in range(len(n_K)) if i != k), key=lambda i: (distances_KK[k][i], i))[:m]
    N_k = n_K[k] + sum(n_K[j] for j in near)
    inverse = {j: 1 / distances_KK[k][j] for j in near}
    w = {j: inverse[j] / sum(inverse.values()) for j in near}
    sized = {j: n_K[j] * inverse[j] / sum(n_K[i] * inverse[i] for i in near) for j in near}
    S = N_k - n_K[k]
    share = {
        "convex": lambda j: S / N_k * w[j],
        "literal": lambda j: n_K[j] / N_k * w[j],
        "literal-renorm": lambda j: n_K[j] / N_k * w[j],
        "size-distance": lambda j: S / N_k * sized[j],
        "fedavg-topm": lambda j: n_K[j] / N_k,
    }[combine]
    row = np.zeros(len(n_K))
    row[k] = n_K[k] / N_k
    for j in near:
        row[j] = share(j)
    return row / row.sum() if combine == "literal-renorm" else row


@pytest.mark.parametrize("combine", T1)
def test_the_worked_vector_t1_comes_out(combine):
    rows_KK = rows_of(N_K, distances_of(THETA_K2), neighbours=2, combine=combine)
    np.testing.assert_allclose(rows_KK @ THETA_K2, T1[combine], rtol=1e-9)


def test_the_coefficient_sums_of_the_literal_reading_are_those_of_t1():
    rows_KK = rows_of(N_K, distances_of(THETA_K2), neighbours=2, combine="literal")
    np.testing.assert_allclose(rows_KK.sum(axis=1), T1_LITERAL_SUMS, rtol=1e-9)


@pytest.mark.parametrize(("m", "total"), [(2, 2 / 3), (5, 1 / 3), (6, 2 / 7), (7, 1 / 4)])
def test_with_equal_samples_the_literal_reading_sums_to_two_over_m_plus_one(m, total):
    theta_Kn = np.random.default_rng(0).normal(size=(9, 4))
    rows_KK = rows_of((5,) * 9, distances_of(theta_Kn), neighbours=m, combine="literal")
    np.testing.assert_allclose(rows_KK.sum(axis=1), total, rtol=1e-12)


@pytest.mark.parametrize("combine", COMBINE)
@pytest.mark.parametrize("m", [0, 1, 3, 4, 9])
def test_every_reading_equals_its_naive_writing(combine, m):
    rng = np.random.default_rng(m)
    n_K = rng.integers(1, 1000, size=5).tolist()
    distances_KK = distances_of(rng.normal(size=(5, 7)))
    expected = [naive_row(k, n_K, distances_KK, m, combine) for k in range(5)]
    np.testing.assert_allclose(rows_of(n_K, distances_KK, neighbours=m, combine=combine), expected, rtol=1e-12)


@pytest.mark.parametrize("combine", COMBINE)
def test_no_neighbours_is_exactly_the_identity(combine):
    rows_KK = rows_of(N_K, distances_of(THETA_K2), neighbours=0, combine=combine)
    assert rows_KK.tolist() == np.eye(4).tolist()


def test_more_neighbours_than_others_means_all_others():
    distances_KK = distances_of(THETA_K2)
    assert rows_of(N_K, distances_KK, neighbours=99).tolist() == rows_of(N_K, distances_KK, neighbours=3).tolist()
    assert rows_of(N_K, distances_KK).tolist() == rows_of(N_K, distances_KK, neighbours=3).tolist()


def test_a_single_client_keeps_its_adapter():
    assert rows_of((7,), [[0.0]], neighbours=6).tolist() == [[1.0]]


def test_the_convex_self_weight_for_equal_samples_is_one_over_m_plus_one():
    rows_KK = rows_of((3,) * 9, distances_of(np.random.default_rng(1).normal(size=(9, 3))), neighbours=6)
    np.testing.assert_allclose(np.diag(rows_KK), 1 / 7, rtol=1e-15)


def test_a_neighbour_at_distance_zero_takes_the_whole_weight():
    assert closeness((0.0, 5.0, 10.0), 0.0) == (1.0, 0.0, 0.0)
    distances_KK = [[0, 0, 5, 10], [0, 0, 5, 10], [5, 5, 0, 1], [10, 10, 1, 0]]
    np.testing.assert_allclose(rows_of((1,) * 4, distances_KK, neighbours=3)[0], (1 / 4, 3 / 4, 0, 0))


def test_neighbours_at_distance_zero_share_the_weight():
    distances_KK = [[0, 0, 0, 5], [0, 0, 0, 5], [0, 0, 0, 5], [5, 5, 5, 0]]
    np.testing.assert_allclose(rows_of((1,) * 4, distances_KK, neighbours=3)[0], (1 / 4, 3 / 8, 3 / 8, 0))


def test_size_distance_shares_a_zero_distance_by_samples():
    distances_KK = [[0, 0, 0, 5], [0, 0, 0, 5], [0, 0, 0, 5], [5, 5, 5, 0]]
    row = rows_of((1, 1, 3, 5), distances_KK, neighbours=3, combine="size-distance")[0]
    np.testing.assert_allclose(row, (1 / 10, 9 / 10 / 4, 9 / 10 * 3 / 4, 0))


def test_all_adapters_equal_gives_each_neighbour_the_same():
    np.testing.assert_allclose(rows_of((2, 2, 2), np.zeros((3, 3)).tolist(), neighbours=2), np.full((3, 3), 1 / 3))


def test_ties_go_to_the_lower_index():
    assert closest([1.0, 0.0, 1.0, 1.0], 1, 2) == (0, 2)


def test_a_distance_far_below_the_others_is_floored_and_does_not_overflow():
    distances_KK = [[0, 5e-324, 1, 1], [5e-324, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]]
    row = rows_of((1,) * 4, distances_KK, neighbours=3)[0]
    np.testing.assert_allclose(row, (1 / 4, 3 / 4, 3 / 4 * 1e-8, 3 / 4 * 1e-8), rtol=1e-7)


def test_a_cap_moves_the_excess_to_the_others_in_proportion():
    np.testing.assert_allclose(capped((0.8, 0.15, 0.05), 0.5), (0.5, 0.375, 0.125))


def test_a_cap_that_the_excess_pushes_another_over_holds_for_both():
    np.testing.assert_allclose(capped((0.7, 0.25, 0.05), 0.4), (0.4, 0.4, 0.2))


def test_a_cap_gives_its_excess_to_neighbours_of_no_weight_equally():
    np.testing.assert_allclose(capped((1.0, 0.0, 0.0), 0.5), (0.5, 0.25, 0.25))


def test_a_cap_that_cannot_hold_means_equal_weights():
    assert capped((0.9, 0.1), 0.3) == (0.5, 0.5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9).filter(lambda raw: sum(raw) > 0), st.floats(0.01, 1))
def test_capped_weights_sum_to_one_keep_their_order_and_respect_the_cap(raw_m, cap):
    weights_m = [raw / sum(raw_m) for raw in raw_m]
    found_m = capped(tuple(weights_m), cap)
    assert sum(found_m) == pytest.approx(1)
    assert max(found_m) <= max(cap, 1 / len(raw_m)) * (1 + 1e-12)
    ordered = [found for _, found in sorted(zip(weights_m, found_m, strict=True))]
    assert all(one <= other * (1 + 1e-9) + 1e-15 for one, other in pairwise(ordered))


@given(
    n_K=st.lists(st.integers(1, 10**6), min_size=1, max_size=7),
    m=st.integers(0, 8),
    combine=st.sampled_from(sorted(COMBINE)),
    cap=st.floats(0.05, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_rows_are_convex_unless_the_reading_is_literal(n_K, m, combine, cap, seed):
    distances_KK = distances_of(np.random.default_rng(seed).integers(0, 3, size=(len(n_K), 2)).astype(float))
    mixed = RULES["nearest"].mix(
        members_of(n_K), distances_KK, {"neighbours": m, "combine": combine, "weight_cap": cap}
    )
    rows_KK = np.array(mixed.coefficients)
    assert (rows_KK >= 0).all()
    assert mixed.row_sums_to_one == (combine != "literal")
    if mixed.row_sums_to_one:
        np.testing.assert_allclose(rows_KK.sum(axis=1), 1, rtol=1e-12)
    assert (rows_KK.sum(axis=1) <= 1 + 1e-12).all()
    assert ((rows_KK > 0).sum(axis=1) <= min(m, len(n_K) - 1) + 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbours": -1}, "neighbours -1 is not a count"),
        ({"combine": "median"}, "combine 'median' is unknown"),
        ({"weight_cap": 0.0}, "weight_cap 0.0 is outside"),
        ({"weight_cap": 1.5}, "weight_cap 1.5 is outside"),
    ],
)
def test_an_option_outside_its_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        rows_of(N_K, distances_of(THETA_K2), **options)
