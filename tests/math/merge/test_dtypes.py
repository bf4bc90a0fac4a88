"""Widening to float64 is exact: every number of 16 bits, against its definition."""

import numpy as np
import pytest
from pilot_aggregator.merge.dtypes import widen

ALL_16_BITS = np.arange(1 << 16, dtype=np.uint16)


def by_definition(bits, exponent_bits, fraction_bits):
    """(-1)^s 2^(e - bias) 1.f, subnormal at e = 0, infinite or NaN at the largest e."""
    sign = -1.0 if bits >> (exponent_bits + fraction_bits) else 1.0
    exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1)
    fraction = (bits & ((1 << fraction_bits) - 1)) / (1 << fraction_bits)
    bias = (1 << (exponent_bits - 1)) - 1
    if exponent == (1 << exponent_bits) - 1:
        return sign * np.inf if fraction == 0 else np.nan
    if exponent == 0:
        return sign * fraction * 2.0 ** (1 - bias)
    return sign * (1 + fraction) * 2.0 ** (exponent - bias)


@pytest.mark.parametrize(("dtype", "exponent_bits", "fraction_bits"), [("BF16", 8, 7), ("F16", 5, 10)])
def test_every_16_bit_number_has_its_value(dtype, exponent_bits, fraction_bits):
    found_n = np.empty(1 << 16)
    widen(ALL_16_BITS.view(np.uint8), dtype, found_n)
    expected_n = np.array([by_definition(int(bits), exponent_bits, fraction_bits) for bits in ALL_16_BITS])
    np.testing.assert_array_equal(found_n, expected_n)
    assert (np.signbit(found_n) == np.signbit(expected_n))[~np.isnan(expected_n)].all()


def test_float32_keeps_its_value_and_its_zeros_sign():
    stored_n = np.array([1.1, -0.0, 1e-45, 3.4028235e38], np.float32)
    found_n = np.empty(4)
    widen(stored_n.view(np.uint8), "F32", found_n)
    assert found_n.astype(np.float32).tobytes() == stored_n.tobytes()


def test_a_signalling_nan_is_a_nan_and_no_warning():
    found_n = np.empty(1)
    widen(np.array([0x7F800001], np.uint32).view(np.uint8), "F32", found_n)
    assert np.isnan(found_n[0])
