"""Distances to a mean from distances between points: against the points themselves."""

import numpy as np
import pytest
from pilot_reports.centroid import to_mean


def apart(x_Kn):
    return [[float(np.linalg.norm(a - b)) for b in x_Kn] for a in x_Kn]


@pytest.mark.parametrize(("k", "n"), [(1, 3), (2, 1), (3, 50), (9, 4), (40, 200)])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_formula_is_the_distance_to_the_mean_of_the_points(k, n, offset):
    x_Kn = np.random.default_rng(k).normal(size=(k, n)) + offset
    expected = [float(np.linalg.norm(x - x_Kn.mean(axis=0))) for x in x_Kn]
    np.testing.assert_allclose(to_mean(apart(x_Kn)), expected, rtol=1e-8, atol=1e-7)


def test_two_points_are_each_half_their_distance_away():
    assert to_mean([[0.0, 3.0], [3.0, 0.0]]) == [1.5, 1.5]


def test_a_right_triangle_by_hand():
    # (0, 0), (3, 0), (0, 4): the mean is (1, 4/3).
    found = to_mean([[0, 3, 4], [3, 0, 5], [4, 5, 0]])
    np.testing.assert_allclose(found, [5 / 3, np.sqrt(4 + 16 / 9), np.sqrt(1 + 64 / 9)], rtol=1e-12)


def test_points_that_are_the_same_have_no_distance():
    assert to_mean([[0.0] * 4] * 4) == [0.0] * 4


def test_a_point_at_the_mean_is_no_error():
    x_Kn = np.array([[0.1, 0.7], [0.3, 0.1], [0.2, 0.4]])
    assert to_mean(apart(x_Kn))[2] == pytest.approx(0, abs=1e-8)
