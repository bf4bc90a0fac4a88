"""Memory: the count against what autograd really keeps, and what each setting saves."""

import json
from pathlib import Path

import pytest
import torch
from pilot_cli.estimate.memory import RUNTIME_BYTES, Memory, Sample, base_bytes, layer_bytes, memory
from pilot_proto.llava import read_llava
from pilot_proto.training import Training

torch.set_num_threads(1)

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
SEVEN = read_llava({"model_type": "llava", "text_config": {"model_type": "llama", "vocab_size": 32064}})
SAMPLE = Sample(text_tokens=128, answer_tokens=64)


@pytest.fixture
def gpu(monkeypatch):
    """The scripts under benchmarks/gpu, as modules."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from gpu import check, flops, steps

    return {"check": check, "flops": flops, "steps": steps}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_activations_are_what_autograd_keeps(gpu, tmp_path, capsys, precision):
    """The scripts for a GPU run on a CPU at the small shape, and the estimate is within 3 % of what they find."""
    common = ["--steps", "1", "--batch", "8", "--text-tokens", "40", "--answer-tokens", "8"]
    gpu["steps"].main([*common, "--precision", precision, "--out", str(tmp_path)])
    found = json.loads((tmp_path / "measured.json").read_text())
    assert [row["program"] for row in found["rows"]] == ["plain", "stage-1", *["stage-2"] * 4]
    assert all(row["step_seconds"] > 0 and row["micro_batch_found"] in (1, 8) for row in found["rows"])
    assert (tmp_path / "measured.md").read_text().count("\n| ") == 8
    for row in found["rows"][:3]:
        guess, truth = gpu["check"].estimated(found, row)
        assert guess == pytest.approx(truth, rel=0.03)
    capsys.readouterr()
    assert gpu["check"].main([str(tmp_path / "measured.json")]) == 0
    assert gpu["check"].main([str(tmp_path / "measured.json"), "--within", "0.0001"]) == 1


def test_the_7b_shape_needs_a_gpu_and_says_so(gpu, capsys):
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(SystemExit):
        gpu["steps"].main(["--shape", "7b"])
    assert "needs a GPU" in capsys.readouterr().err


def test_operations_of_a_step_are_four_per_frozen_number_and_more_where_something_learns(gpu):
    flops = gpu["flops"]
    one = flops.step_flops(SEVEN, Training(), "plain", 3, SAMPLE, encoding=False)
    frozen = 4 * 704 * sum(a * b for a, b in SEVEN.language_linears().values())
    assert 1.0 < one / frozen < 1.1
    two = flops.step_flops(SEVEN, Training(), "stage-2", 3, SAMPLE, encoding=False)
    encoding = flops.step_flops(SEVEN, Training(), "stage-2", 3, SAMPLE, encoding=True)
    assert one < two < encoding
    assert flops.peak_flops("NVIDIA H200") == flops.peak_flops("NVIDIA H100 80GB HBM3") == 989e12
    assert flops.peak_flops("a toaster") is None


def of(program: str = "stage-2", **settings) -> Memory:
    return memory(SEVEN, Training.model_validate(settings), program, 3, SAMPLE)


def test_weights_gradients_and_moments_of_7b():
    found = of("stage-1")
    trained = 159_907_840 + 2 * 20_979_712
    assert found.base == 2 * (7_063_427_072 - 20_979_712)
    assert (found.gradients, found.moments) == (4 * trained, 8 * trained)
    assert found.adapters == 4 * trained + 2 * trained
    assert found.total(3) - found.total(1) == 2 * found.per_sample
    assert found.fixed > RUNTIME_BYTES


def test_quantization_takes_bytes_from_the_linear_layers_only():
    linears = 6_476_005_376
    none, int8, nf4 = (
        base_bytes(SEVEN, Training.model_validate({"base_quantization": q})) for q in ("none", "int8", "nf4")
    )
    assert none - int8 == pytest.approx(linears, rel=1e-3)
    assert none - nf4 == pytest.approx(linears * (1.5 - 1 / 64), rel=1e-3)
    assert nf4 > 2 * (none / 2 - linears)


def test_checkpointing_keeps_one_layer_and_every_layers_input():
    whole, less = of(), of(gradient_checkpointing=True)
    saved = 31 * 704 * layer_bytes(SEVEN, Training(), 704, 1) - 32 * 704 * 2 * 4096
    assert whole.per_sample - less.per_sample == saved
    assert whole.fixed == less.fixed


def test_eager_attention_grows_with_the_square_of_the_length():
    eager = Training.model_validate({"attn_implementation": "eager"})
    by_token = [layer_bytes(SEVEN, eager, n, 1) for n in (100, 200)]
    assert by_token[1] - by_token[0] == 6 * 32 * 100
    assert layer_bytes(SEVEN, Training(), 100, 1) == layer_bytes(SEVEN, Training(), 200, 1)


def test_the_largest_micro_batch_is_the_batch_halved_until_it_fits():
    found = of()
    for size in (16, 8, 2, 1):
        assert found.largest(found.total(size), 16) == size
    assert found.largest(found.total(1) - 1, 16) == 0
    assert found.largest(found.total(100), 16) == 16


def test_a_long_sample_is_cut_at_max_length():
    assert Sample(4000, 10).tokens(SEVEN, 2048) == 2048
    assert Sample(100, 10).tokens(SEVEN, 2048) == 676
