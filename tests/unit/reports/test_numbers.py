"""Numbers for people."""

import pytest
from pilot_reports.numbers import change, score, size


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_500_000, "1.5 MB"),
        (2 * 10**9, "2.0 GB"),
        (10**13, "10000.0 GB"),
    ],
)
def test_a_size_is_told_for_people(count, told):
    assert size(count) == told


@pytest.mark.parametrize(
    ("value", "metric", "told"),
    [
        (None, "cider", "-"),
        (1.25, "cider", "1.250"),
        (0.5, "exact-match", "50.0 %"),
        (1.0, "iou", "100.0 %"),
        (0.0, "iou", "0.0 %"),
    ],
)
def test_a_score_is_told_in_the_unit_that_people_quote(value, metric, told):
    assert score(value, metric) == told


@pytest.mark.parametrize(
    ("value", "metric", "told"),
    [(None, "iou", "-"), (0.125, "iou", "+12.5"), (-0.125, "exact-match", "-12.5"), (0.5, "cider", "+0.500")],
)
def test_a_difference_has_its_sign_and_is_in_points_where_the_score_is_a_share(value, metric, told):
    assert change(value, metric) == told
