"""Distances: against naive writings, for close adapters, and T10 about the gauge of LoRA factors."""

from itertools import combinations

import numpy as np
import pytest
from pilot_aggregator.merge.distances import add_pairs, product_squared, squared_norm, symmetric_root


def euclidean(x_Kn):
    x_Kn = np.asarray(x_Kn, dtype=np.float64)
    squared_KK = np.zeros((len(x_Kn),) * 2)
    add_pairs(x_Kn, np.empty(x_Kn.shape[1]), squared_KK)
    return np.array(symmetric_root(squared_KK))


def pairs_of_factors(seed, r=3, n_in=5, n_out=7):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(r, n_in)), rng.normal(size=(n_out, r))


def test_the_distances_of_t1_come_out():
    found = euclidean([(0, 0), (3, 4), (0, 1), (6, 8)])
    expected = [5, 1, 10, np.sqrt(18), 5, np.sqrt(85)]
    np.testing.assert_allclose([found[i, j] for i, j in combinations(range(4), 2)], expected, rtol=1e-15)


def test_distances_are_symmetric_with_a_zero_diagonal():
    found = euclidean(np.random.default_rng(0).normal(size=(6, 100)))
    assert (found == found.T).all()
    assert (np.diag(found) == 0).all()
    assert (found[~np.eye(6, dtype=bool)] > 0).all()


def test_distances_equal_the_norm_of_the_difference():
    x_Kn = np.random.default_rng(1).normal(size=(4, 1000))
    expected = [[np.linalg.norm(one - other) for other in x_Kn] for one in x_Kn]
    np.testing.assert_allclose(euclidean(x_Kn), expected, rtol=1e-14)


def test_close_adapters_are_measured_where_a_gram_product_sees_nothing():
    rng = np.random.default_rng(2)
    x_n = rng.normal(size=4096)
    x_Kn = np.stack([x_n, x_n + 1e-10 * rng.normal(size=4096)])
    gram = x_Kn @ x_Kn.T
    by_gram = gram[0, 0] + gram[1, 1] - 2 * gram[0, 1]
    true = np.linalg.norm(x_Kn[0] - x_Kn[1])
    assert abs(by_gram - true**2) > 1e-3 * true**2
    assert euclidean(x_Kn)[0, 1] == pytest.approx(true, rel=1e-14)


def test_identical_adapters_are_at_distance_exactly_zero():
    x_n = np.random.default_rng(3).normal(size=50)
    assert euclidean([x_n, x_n])[0, 1] == 0.0


def test_a_squared_norm_is_the_sum_of_squares():
    assert squared_norm(np.array([3.0, 4.0])) == 25.0


def test_the_factor_distance_depends_on_the_gauge_and_the_product_distance_does_not():
    """T10: (B, A) and (2B, A/2) are the same function."""
    A_rn, B_mr = np.array([[3.0, 4.0]]), np.array([[1.0], [2.0]])
    factors = euclidean(
        [np.concatenate([B_mr.ravel(), A_rn.ravel()]), np.concatenate([2 * B_mr.ravel(), A_rn.ravel() / 2])]
    )
    assert factors[0, 1] == pytest.approx(np.sqrt(11.25), rel=1e-15)
    assert product_squared(A_rn, B_mr, A_rn / 2, 2 * B_mr) == 0.0


def test_the_product_distance_of_t10_comes_out():
    A_1, B_1 = np.array([[3.0, 4.0]]), np.array([[1.0], [2.0]])
    A_2, B_2 = np.array([[1.0, 1.0]]), np.array([[1.0], [0.0]])
    assert product_squared(A_1, B_1, A_2, B_2) == pytest.approx(113.0, rel=1e-15)


@pytest.mark.parametrize(("r", "n_in", "n_out"), [(1, 1, 1), (3, 5, 7), (4, 3000, 1025)])
def test_the_product_distance_equals_the_norm_of_the_full_matrices(r, n_in, n_out):
    (A_i, B_i), (A_j, B_j) = (pairs_of_factors(seed, r, n_in, n_out) for seed in (0, 1))
    direct = np.linalg.norm(B_i @ A_i - B_j @ A_j) ** 2
    assert product_squared(A_i, B_i, A_j, B_j) == pytest.approx(direct, rel=1e-12)
    assert product_squared(A_j, B_j, A_i, B_i) == pytest.approx(direct, rel=1e-12)


def test_the_product_distance_of_close_factors_keeps_its_digits():
    A_rn, B_mr = pairs_of_factors(0)
    D_A, D_B = pairs_of_factors(1)
    A_j, B_j = A_rn + 1e-9 * D_A, B_mr + 1e-9 * D_B
    difference = (B_mr - B_j) @ A_rn + B_j @ (A_rn - A_j)
    assert product_squared(A_rn, B_mr, A_j, B_j) == pytest.approx(np.linalg.norm(difference) ** 2, rel=1e-12)
    assert product_squared(A_rn, B_mr, A_rn, B_mr) == 0.0


@pytest.mark.parametrize(("inputs", "numbers"), [(2, 1), (9, 7), (12, 129), (20, 1000), (5, 20_001)])
def test_sums_of_pairs_have_the_same_bits_however_many_are_formed_at_a_time(inputs, numbers):
    x_Kn = np.random.default_rng(inputs).normal(size=(inputs, numbers + 3))[:, :numbers]
    found = []
    for room in (numbers, 2 * numbers + 1, 100 * numbers):
        squared_KK = np.zeros((inputs, inputs))
        add_pairs(x_Kn, np.empty(room), squared_KK)
        found.append(squared_KK)
    for i, j in combinations(range(inputs), 2):
        assert found[0][i, j] == squared_norm(x_Kn[i] - x_Kn[j])
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
