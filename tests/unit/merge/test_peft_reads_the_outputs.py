"""What comes out of a folder merge is a PEFT adapter, and does what the mixture of the factors does."""

import numpy as np
import pytest
from pilot_aggregator.merge.folders import merge_folders
from pilot_proto.run import Rule
from safetensors.numpy import load_file

# peft 0.21 asks transformers 5 for an attribute that the latter has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

CONFIG = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 11}


@pytest.fixture
def model():
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return lambda: LlamaForCausalLM(LlamaConfig(**CONFIG))


@pytest.fixture
def sources(model, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model

    for seed, name in enumerate("abc"):
        adapted = get_peft_model(model(), LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"]))
        torch.manual_seed(seed)
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter)
        adapted.save_pretrained(tmp_path / name)
    return [tmp_path / name for name in "abc"]


@pytest.mark.parametrize(
    ("rule", "outputs"),
    [
        (Rule(rule="nearest", neighbours=2), ["a", "b", "c"]),
        (Rule(rule="per-task-mean"), ["x", "y"]),
        (Rule(rule="mean"), ["merged"]),
    ],
)
def test_every_output_loads_with_the_merged_numbers(sources, model, tmp_path, rule, outputs):
    from peft import PeftModel, get_peft_model_state_dict

    merge_folders(sources, tmp_path / "out", rule, tasks=["x", "y", "x"])
    for output in outputs:
        folder = tmp_path / "out" / output
        loaded = get_peft_model_state_dict(PeftModel.from_pretrained(model(), folder))
        written = load_file(folder / "adapter_model.safetensors")
        assert loaded.keys() == written.keys()
        for name, tensor in loaded.items():
            np.testing.assert_array_equal(tensor.numpy(), written[name])


def test_one_adapter_merged_alone_is_the_same_file(sources, tmp_path):
    merge_folders(sources[:1], tmp_path / "out", Rule(rule="mean"))
    before = (sources[0] / "adapter_model.safetensors").read_bytes()
    assert (tmp_path / "out/merged/adapter_model.safetensors").read_bytes() == before
