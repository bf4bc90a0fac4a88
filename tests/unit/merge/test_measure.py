import numpy as np
import pytest
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.measure import Measured, change_norms, mean_to_peers, measure


@pytest.fixture
def inputs(save, lora):
    return {name: save(name, lora(seed)) for seed, name in enumerate("abc")}


def flat(adapter):
    return np.concatenate([adapter[name].ravel() for name in sorted(adapter)]).astype(np.float64)


def pairwise(values, distance):
    return [[distance(one, other) for other in values] for one in values]


def test_euclidean_is_the_norm_of_all_tensors_together(inputs, lora):
    found = measure(inputs, "euclidean")
    expected = pairwise([flat(lora(seed)) for seed in range(3)], lambda one, other: np.linalg.norm(one - other))
    np.testing.assert_allclose(found.matrix, expected, rtol=1e-14)
    assert found.names == ("a", "b", "c")


def test_euclidean_delta_weighs_every_tensor_by_how_far_it_was_trained(save, lora):
    base, adapters = lora(9), [lora(seed) for seed in range(3)]
    frozen, *trained = sorted(base)
    for adapter in adapters:
        adapter[frozen] = base[frozen]
    found = measure(
        {name: save(name, adapter) for name, adapter in zip("abc", adapters, strict=True)},
        "euclidean-delta",
        base=save("base", base),
    )

    def delta(adapter, tensor):
        return adapter[tensor].astype(np.float64) - base[tensor]

    def distance(one, other):
        parts = []
        for tensor in trained:
            s_squared = np.mean([np.sum(delta(adapter, tensor) ** 2) for adapter in adapters])
            parts.append(np.sum((delta(one, tensor) - delta(other, tensor)) ** 2) / s_squared)
        return np.sqrt(sum(parts))

    np.testing.assert_allclose(found.matrix, pairwise(adapters, distance), rtol=1e-13)


def test_a_change_is_measured_from_what_each_client_was_given(inputs, save, lora):
    given = {name: save(f"given-{name}", lora(9 + seed)) for seed, name in enumerate("abc")}
    expected = {name: np.linalg.norm(flat(lora(seed)) - flat(lora(9 + seed))) for seed, name in enumerate("abc")}
    assert change_norms(inputs, given) == {name: pytest.approx(norm, rel=1e-14) for name, norm in expected.items()}
    assert change_norms(inputs, inputs) == dict.fromkeys("abc", 0.0)


def line(**places):
    """Distances between points on a line."""
    names = tuple(sorted(places))
    matrix = tuple(tuple(abs(places[i] - places[j]) for j in names) for i in names)
    return Measured("euclidean", names, matrix)


def test_the_mean_to_peers_is_over_the_others_of_the_task():
    apart = line(a=0.0, b=1.0, c=5.0, x=1000.0)
    tasks = {"a": "vqa", "b": "vqa", "c": "vqa", "x": "caption"}
    found = mean_to_peers(apart.names, np.array(apart.matrix), tasks)
    assert found == {"a": 3.0, "b": 2.5, "c": 4.5}


def test_distances_among_some_keep_rows_and_columns_together():
    assert line(a=0.0, b=1.0, c=5.0, x=9.0).among(["x", "a", "c"]) == line(a=0.0, c=5.0, x=9.0)
    assert line(a=0.0, b=1.0).among(["b"]) == line(b=0.0)


def test_product_compares_the_functions_and_not_the_factors(save, lora):
    regauged = {name: t * np.float32(2 if "lora_B" in name else 0.5) for name, t in lora(0).items()}
    inputs = {"a": save("a", lora(0)), "b": save("b", lora(1)), "same-as-a": save("c", regauged)}
    found = np.array(measure(inputs, "product", scaling=3.0).matrix)

    def products(adapter):
        halves = [adapter[name].astype(np.float64) for name in sorted(adapter)]
        return [3.0 * B @ A for A, B in zip(halves[::2], halves[1::2], strict=True)]

    apart = np.sqrt(sum(np.sum((x - y) ** 2) for x, y in zip(products(lora(0)), products(lora(1)), strict=True)))
    np.testing.assert_allclose(found[0, 1], apart, rtol=1e-12)
    np.testing.assert_allclose(found[2, 1], apart, rtol=1e-12)
    assert found[0, 2] < 1e-6 * apart
    assert measure(inputs, "euclidean").matrix[0][2] > 1


def test_distances_do_not_depend_on_the_order_of_the_inputs(inputs):
    for metric in ("euclidean", "product"):
        assert measure(dict(reversed(inputs.items())), metric) == measure(inputs, metric)


def test_tensors_larger_than_a_block_are_measured_whole(save):
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 100_003)).astype(np.float32)
    found = measure({"a": save("a", {"t": one}), "b": save("b", {"t": other})}, "euclidean")
    assert found.matrix[0][1] == pytest.approx(np.linalg.norm(one.astype(np.float64) - other), rel=1e-13)


@pytest.mark.parametrize("metric", ["euclidean", "product"])
def test_two_threads_measure_large_files_as_one_measures_small_ones(inputs, save, lora, monkeypatch, metric):
    given = {name: save(f"given-{name}", lora(9)) for name in inputs}
    alone = measure(inputs, metric), change_norms(inputs, given)
    monkeypatch.setattr("pilot_aggregator.merge.threads.SMALL_FILE", 0)
    assert (measure(inputs, metric), change_norms(inputs, given)) == alone


def test_one_input_is_at_no_distance(save, lora):
    assert measure({"a": save("a", lora(0))}, "euclidean").matrix == ((0.0,),)


def test_product_of_what_is_no_lora_is_refused(save):
    inputs = {"a": save("a", {"linear.weight": np.zeros((2, 2), np.float32)})}
    with pytest.raises(MergeRefused, match=r"tensor 'linear.weight' is no half"):
        measure(inputs, "product")


def test_a_metric_without_its_base_is_refused(inputs):
    with pytest.raises(MergeRefused, match="give the base"):
        measure(inputs, "euclidean-delta")


def test_an_unknown_metric_is_refused(inputs):
    with pytest.raises(MergeRefused, match="metric 'cosine' is unknown; choose one of euclidean"):
        measure(inputs, "cosine")


@pytest.mark.parametrize("metric", ["euclidean", "product"])
def test_a_number_that_is_not_finite_is_refused_by_name(inputs, save, lora, metric):
    spoilt = lora(1)
    name = sorted(spoilt)[0]
    spoilt[name][0, 0] = np.nan
    inputs["b"] = save("b", spoilt)
    with pytest.raises(MergeRefused, match=f"input 'b': tensor '{name}'"):
        measure(inputs, metric)
