import hashlib
import json

import numpy as np
import pytest
from pilot_aggregator.merge.engine import digests, mix
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.mixture import Mixture

A = "base_model.model.layers.0.q_proj.lora_A.weight"
ROWS = ((0.5, 0.25, 0.25), (0.0, 1.0, 0.0), (0.1, 0.0, 0.9))
MIXTURE = Mixture(("a", "b", "c"), ("x", "y", "z"), ROWS, row_sums_to_one=True)


@pytest.fixture
def inputs(save, lora):
    return {name: save(name, lora(seed)) for seed, name in enumerate("abc")}


@pytest.fixture
def outputs(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return {name: folder / f"{name}.safetensors" for name in "xyz"}


def test_outputs_are_the_mixtures_of_the_inputs(inputs, outputs, lora, load):
    mix(inputs, outputs, MIXTURE)
    adapters = [lora(seed) for seed in range(3)]
    for name, row in zip("xyz", ROWS, strict=True):
        found = load(outputs[name])
        assert found.keys() == adapters[0].keys()
        for tensor in found:
            naive = sum(c * adapter[tensor].astype(np.float64) for c, adapter in zip(row, adapters, strict=True))
            np.testing.assert_array_equal(found[tensor], naive.astype(np.float32))


def test_an_identity_row_copies_the_file_bit_for_bit(inputs, outputs):
    mix(inputs, outputs, MIXTURE)
    assert outputs["y"].read_bytes() == inputs["b"].read_bytes()


def test_the_returned_digests_and_sizes_are_those_of_the_files(inputs, outputs):
    written = mix(inputs, outputs, MIXTURE)
    for name, path in outputs.items():
        assert written[name].digest == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        assert written[name].size == path.stat().st_size


def test_recomputing_without_writing_gives_the_same_digests(inputs, outputs):
    assert digests(inputs, MIXTURE) == mix(inputs, outputs, MIXTURE)


@pytest.mark.parametrize("block", [1, 5, 64, 1 << 20])
def test_the_bytes_do_not_depend_on_the_block(inputs, block):
    assert digests(inputs, MIXTURE, block=block) == digests(inputs, MIXTURE)


def test_the_bytes_do_not_depend_on_the_order_of_the_inputs(inputs):
    assert digests(dict(reversed(inputs.items())), MIXTURE) == digests(inputs, MIXTURE)


def test_the_bytes_do_not_depend_on_the_order_of_tensors_in_the_other_files(inputs, save, lora, tmp_path):
    raw = inputs["c"].read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    metadata, shuffled, moved = header.pop("__metadata__"), b"", {}
    for name in reversed(list(header)):
        begin, end = header[name]["data_offsets"]
        moved[name] = {**header[name], "data_offsets": [len(shuffled), len(shuffled) + end - begin]}
        shuffled += data[begin:end]
    text = json.dumps({"__metadata__": metadata, **moved}).encode()
    other = tmp_path / "shuffled.safetensors"
    other.write_bytes(len(text).to_bytes(8, "little") + text + shuffled)
    assert digests({**inputs, "c": other}, MIXTURE) == digests(inputs, MIXTURE)


def test_the_reference_gives_the_metadata_and_the_order(inputs, outputs, save, lora):
    inputs["b"] = save("b", dict(reversed(lora(1).items())), metadata={"format": "pt", "made": "elsewhere"})
    mix(inputs, outputs, MIXTURE, reference="b")
    assert outputs["y"].read_bytes() == inputs["b"].read_bytes()


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_sixteen_bit_inputs_become_float32_outputs(save, lora, outputs, load, dtype):
    inputs = {name: save(name, lora(seed), dtype) for seed, name in enumerate("abc")}
    mix(inputs, outputs, MIXTURE)
    found = load(outputs["y"])
    assert {values.dtype for values in found.values()} == {np.dtype(np.float32)}
    precision = {"F16": 2.0**-11, "BF16": 2.0**-7}[dtype]
    for tensor, values in lora(1).items():
        np.testing.assert_allclose(found[tensor], values, rtol=precision, atol=1e-7)
        assert (found[tensor] != values).any()


def test_inputs_of_different_precision_can_be_mixed(save, lora, outputs, load):
    inputs = {"a": save("a", lora(0), "BF16"), "b": save("b", lora(1), "F16"), "c": save("c", lora(2))}
    mix(inputs, outputs, MIXTURE)
    np.testing.assert_allclose(
        load(outputs["x"])[A], 0.5 * lora(0)[A] + 0.25 * (lora(1)[A] + lora(2)[A]), rtol=0.02, atol=0.01
    )


def test_scalars_and_empty_tensors_pass_through(save, outputs, load):
    tensors = {"empty": np.zeros((0, 3), np.float32), "scalar": np.array(2.0, np.float32)}
    mix({name: save(name, tensors) for name in "abc"}, outputs, MIXTURE)
    found = load(outputs["x"])
    assert (found["empty"].shape, found["scalar"].shape, float(found["scalar"])) == ((0, 3), (), 2.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("block", [7, 1 << 20])
def test_a_number_that_is_not_finite_is_refused_by_name_and_leaves_no_output(inputs, outputs, save, lora, bad, block):
    spoilt = lora(2)
    spoilt[A][1, 30] = bad
    inputs["c"] = save("c", spoilt)
    with pytest.raises(MergeRefused, match=rf"input 'c': tensor '{A}' .* not finite \(at index 67\)"):
        mix(inputs, outputs, MIXTURE, block=block)
    assert list(outputs["x"].parent.iterdir()) == []


def test_an_input_that_no_output_uses_must_be_finite_too(inputs, save, lora):
    spoilt = lora(2)
    spoilt[A][0, 0] = np.nan
    inputs["c"] = save("c", spoilt)
    with pytest.raises(MergeRefused, match="input 'c'"):
        digests(inputs, Mixture(("a", "b", "c"), ("x",), ((0.5, 0.5, 0.0),), row_sums_to_one=True))


def test_a_refused_merge_leaves_an_earlier_output_as_it_was(inputs, outputs, save, lora):
    mix(inputs, outputs, MIXTURE)
    before = outputs["x"].read_bytes()
    spoilt = lora(2)
    spoilt[A][0, 0] = np.nan
    inputs["c"] = save("c", spoilt)
    with pytest.raises(MergeRefused):
        mix(inputs, outputs, MIXTURE)
    assert outputs["x"].read_bytes() == before


def test_a_sum_beyond_float32_is_refused(save, tmp_path):
    inputs = {name: save(name, {"t": np.full(3, 3e38, np.float32)}) for name in "ab"}
    twice = Mixture(("a", "b"), ("x",), ((1.0, 1.0),), row_sums_to_one=False)
    with pytest.raises(MergeRefused, match="output 'x': tensor 't' exceeds"):
        digests(inputs, twice)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(A), f"'b' lacks tensor '{A}', unlike 'a'"),
        (lambda t: t.update(more=np.zeros(2, np.float32)), "'b' has the additional tensor 'more', unlike 'a'"),
        (lambda t: t.update({A: t[A].T.copy()}), rf"tensor '{A}' has shape \[37, 2\] in 'b' and \[2, 37\] in 'a'"),
    ],
)
def test_tensors_that_do_not_match_are_refused_by_name(inputs, outputs, save, lora, change, message):
    tensors = lora(1)
    change(tensors)
    inputs["b"] = save("b", tensors)
    with pytest.raises(MergeRefused, match=message):
        mix(inputs, outputs, MIXTURE)
    assert list(outputs["x"].parent.iterdir()) == []


def test_a_dtype_that_cannot_be_merged_is_refused(save):
    inputs = {name: save(name, {"n": np.array([1])}, "I64") for name in "abc"}
    with pytest.raises(MergeRefused, match="tensor 'n' of 'a' is I64; only F32, F16, BF16"):
        digests(inputs, MIXTURE)


def test_a_truncated_input_is_refused(inputs):
    inputs["b"].write_bytes(inputs["b"].read_bytes()[:-1])
    with pytest.raises(MergeRefused, match="input 'b' is no sound safetensors file"):
        digests(inputs, MIXTURE)


def test_a_missing_input_is_refused(inputs):
    inputs["b"].unlink()
    with pytest.raises(MergeRefused, match="input 'b' cannot be read"):
        digests(inputs, MIXTURE)
