"""The figures of admission and comparison against a second, naive writing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pilot_registry.admission.content import norm
from pilot_registry.distance import Products

values = arrays.arrays(np.float32, st.integers(0, 40), elements=st.floats(-1e6, 1e6, width=32))
pairs = st.integers(0, 40).flatmap(
    lambda n: st.tuples(*[arrays.arrays(np.float32, n, elements=st.floats(-1e6, 1e6, width=32))] * 2)
)


def chunks(values: np.ndarray, size: int = 7):
    return [values[i : i + size] for i in range(0, len(values), size)]


@given(values)
def test_the_norm_is_the_root_of_the_sum_of_squares(x: np.ndarray):
    expected = math.sqrt(math.fsum(float(v) ** 2 for v in x))
    assert norm(chunks(x)) == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 6, 7, 13])
def test_the_norm_is_not_finite_when_one_value_is_not(value: float, place: int):
    x = np.zeros(14, np.float32)
    x[place] = value
    assert not math.isfinite(norm(chunks(x)))


def test_infinities_of_both_signs_do_not_cancel():
    assert not math.isfinite(norm([np.array([np.inf, -np.inf], np.float32)]))


def test_the_norm_of_nothing_is_zero():
    assert norm([]) == 0.0


@given(pairs)
def test_the_figures_of_a_comparison_follow_their_definitions(pair: tuple[np.ndarray, np.ndarray]):
    a, b = pair
    found = Products.of(zip(chunks(a), chunks(b), strict=True))
    norm_a = math.sqrt(math.fsum(float(x) ** 2 for x in a))
    norm_b = math.sqrt(math.fsum(float(x) ** 2 for x in b))
    l2 = math.sqrt(math.fsum((float(y) - float(x)) ** 2 for x, y in zip(a, b, strict=True)))
    assert found.l2 == pytest.approx(l2, rel=1e-12)
    assert found.norm_a == pytest.approx(norm_a, rel=1e-12)
    assert found.norm_b == pytest.approx(norm_b, rel=1e-12)
    assert (found.relative is None) == (norm_a == 0)
    assert (found.cosine is None) == (norm_a == 0 or norm_b == 0)
    if found.cosine is not None:
        inner = math.fsum(float(x) * float(y) for x, y in zip(a, b, strict=True))
        assert found.cosine == pytest.approx(inner / (norm_a * norm_b), abs=1e-9)
        assert -1.0 <= found.cosine <= 1.0


def test_equal_tensors_have_distance_zero_and_cosine_one():
    a = np.array([3.0, 4.0], np.float32)
    found = Products.of([(a, a)])
    assert (found.l2, found.cosine, found.relative) == (0.0, 1.0, 0.0)


def test_close_tensors_keep_the_digits_that_a_gram_product_loses():
    a = np.full(1000, 1.0, np.float32)
    b = a.copy()
    b[0] = np.nextafter(np.float32(1.0), np.float32(2.0))
    assert Products.of([(a, b)]).l2 == float(b[0]) - 1.0


def test_sums_over_tensors_are_the_sums_over_their_values():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 30)).astype(np.float32)
    halves = Products.of([(a[:11], b[:11])]) + Products.of([(a[11:], b[11:])])
    assert halves.l2 == pytest.approx(Products.of([(a, b)]).l2, rel=1e-12)
