from dataclasses import replace

import pytest
from pilot_aggregator.merge.engine import digests
from pilot_aggregator.merge.measure import measure
from pilot_aggregator.merge.mixture import Mixture
from pilot_aggregator.merge.verify import Claim, verify

MIXTURE = Mixture(("a", "b"), ("x", "y"), ((0.5, 0.5), (0.0, 1.0)), row_sums_to_one=True)


@pytest.fixture
def inputs(save, lora):
    return {name: save(name, lora(seed)) for seed, name in enumerate("ab")}


@pytest.fixture
def claim(inputs):
    written = digests(inputs, MIXTURE)
    return Claim({name: one.digest for name, one in written.items()}, measure(inputs, "euclidean"))


def test_an_honest_merge_passes(inputs, claim):
    report = verify(inputs, MIXTURE, claim)
    assert report.passed
    assert report.identical == {"x": True, "y": True}
    assert report.distance_error == 0.0


def test_other_bytes_in_one_output_are_named(inputs, claim, save, lora):
    save("a", lora(7))
    report = verify(inputs, MIXTURE, replace(claim, distances=None))
    assert not report.passed
    assert report.identical == {"x": False, "y": True}


def test_other_coefficients_do_not_pass(inputs, claim):
    other = Mixture(("a", "b"), ("x", "y"), ((0.5 + 1e-6, 0.5), (0.0, 1.0)), row_sums_to_one=False)
    assert not verify(inputs, other, claim).passed


@pytest.mark.parametrize(("factor", "passed"), [(1 + 1e-14, True), (1 + 1e-11, False)])
def test_distances_may_differ_by_rounding_only(inputs, claim, factor, passed):
    assert claim.distances is not None
    scaled = tuple(tuple(d * factor for d in row) for row in claim.distances.matrix)
    report = verify(inputs, MIXTURE, replace(claim, distances=replace(claim.distances, matrix=scaled)))
    assert report.passed is passed


def test_inputs_that_were_deleted_are_reported_and_nothing_is_recomputed(inputs, claim):
    inputs["b"].unlink()
    report = verify(inputs, MIXTURE, claim)
    assert not report.passed
    assert (report.missing, report.identical) == (("b",), None)
