"""y = sum c x: against exact rational arithmetic, at signed zero, and whatever the block."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilot_aggregator.merge.mixing import mix, terms_of
from pilot_aggregator.merge.mixture import Member
from pilot_aggregator.merge.rules import RULES

finite32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def mixed(x_Kn, rows):
    x_Kn = np.ascontiguousarray(x_Kn, dtype=np.float64)
    n = x_Kn.shape[1]
    y_Jn = np.empty((len(rows), n), np.float32)
    mix(x_Kn, terms_of(rows), y_Jn, np.empty(n), np.empty(n))
    return y_Jn


def test_a_mixture_is_the_exact_sum_rounded_to_float32():
    rng = np.random.default_rng(0)
    x_Kn = rng.normal(size=(6, 50)).astype(np.float32).astype(np.float64)
    row = (0.25, 0.0, 0.5, 0.0625, 0.125, 0.0625)
    exact_n = [sum(Fraction(c) * Fraction(x) for c, x in zip(row, column, strict=True)) for column in x_Kn.T]
    np.testing.assert_array_equal(mixed(x_Kn, [row])[0], np.array([float(y) for y in exact_n], np.float32))


@given(st.lists(finite32, min_size=1, max_size=20))
def test_the_coefficient_one_copies_every_bit(numbers):
    x_n = np.array(numbers, np.float32)
    other_n = np.full_like(x_n, 3e38)
    y_Jn = mixed(np.stack([x_n, other_n]), [(1.0, 0.0)])
    assert y_Jn[0].tobytes() == x_n.tobytes()


def test_negative_zero_stays_negative():
    assert np.signbit(mixed([[-0.0]], [(1.0,)])[0, 0])


def test_an_output_without_contributors_is_zero():
    assert mixed([[5.0]], [(0.0,)])[0, 0] == 0.0


def test_terms_are_added_in_the_order_of_the_inputs():
    # In float64, (1e16 + 1) - 1e16 is 0 and (1e16 - 1e16) + 1 is 1.
    assert mixed([[1e16], [1.0], [-1e16]], [(1.0, 1.0, 1.0)])[0, 0] == 0.0
    assert mixed([[1e16], [-1e16], [1.0]], [(1.0, 1.0, 1.0)])[0, 0] == 1.0


@pytest.mark.parametrize("cut", [1, 7, 64, 999])
def test_cutting_a_tensor_into_blocks_changes_no_bit(cut):
    rng = np.random.default_rng(1)
    x_Kn, rows = rng.normal(size=(5, 1000)), [tuple(row) for row in rng.random((3, 5))]
    pieces = [mixed(x_Kn[:, start : start + cut], rows) for start in range(0, 1000, cut)]
    assert np.concatenate(pieces, axis=1).tobytes() == mixed(x_Kn, rows).tobytes()


def test_the_mean_of_lora_factors_is_not_the_mean_of_their_products():
    """T7: what averaging A and B separately (FedIT, equation 12) does and does not do."""
    e1, e2 = np.eye(2)
    for n_K, product in (((1, 1), [[0.25, 0.25], [0.25, 0.25]]), ((1, 3), [[0.0625, 0.1875], [0.1875, 0.5625]])):
        (p,) = RULES["mean"].mix([Member("a", "t", n_K[0]), Member("b", "t", n_K[1])], None, {}).coefficients
        B_mean, A_mean = mixed([e1, e2], [p])[0], mixed([e1, e2], [p])[0]
        np.testing.assert_array_equal(np.outer(B_mean, A_mean), product)
        np.testing.assert_array_equal(p[0] * np.outer(e1, e1) + p[1] * np.outer(e2, e2), np.diag(p))


def test_the_mean_of_identical_factors_is_those_factors():
    x_n = np.random.default_rng(2).normal(size=9).astype(np.float32)
    np.testing.assert_array_equal(mixed([x_n, x_n], [(0.5, 0.5)])[0], x_n)
