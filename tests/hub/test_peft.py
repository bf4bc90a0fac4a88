"""A published LoRA of digits-tiny, loaded by peft as its card says: by the snippets peft and peft-by-name."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub.conftest import REPO
from pilot_digits.models import DIGITS_TINY
from pilot_model.lora import TextAdapter, adapter_config
from pilot_proto.training import Lora
from safetensors.torch import save
from transformers import LlavaForConditionalGeneration
from unit.registry.published import one_text_adapter
from unit.registry.test_process import serving
from unit.registry.world import World, app_in

TELL = """
import hashlib, json, sys

def told(model):
    state = {name: t for name, t in model.state_dict().items() if "lora_" in name}
    return {
        name.replace(".default", ""): hashlib.sha256(t.contiguous().numpy().tobytes()).hexdigest()
        for name, t in state.items()
    }

"""


@pytest.fixture(scope="module")
def lora() -> dict[str, torch.Tensor]:
    """A LoRA as a trainer uploads it, none of it zero."""
    settings = Lora(r=4, lora_alpha=8, lora_dropout=0.0)
    adapter = TextAdapter(LlavaForConditionalGeneration.from_pretrained(DIGITS_TINY), settings)
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(t.shape, generator=generator) for name, t in adapter.tensors().items()}


def test_peft_loads_what_was_published_by_both_ways_that_the_card_shows(lora, user, tmp_path: Path):
    config = adapter_config(Lora(r=4, lora_alpha=8, lora_dropout=0.0), "digits-tiny")
    world = World(app_in(tmp_path / "registry")).prepare()
    commit = one_text_adapter(world, save(lora, {"format": "pt"}), json.dumps(config).encode())
    shown = world.call("viewer", "GET", f"//{REPO}/resolve/main/README.md").text
    world.app.state.registry.database.close()
    by_folder, by_name = re.findall(r"```python\n(.*?)```", shown, re.DOTALL)
    assert f'PeftModel.from_pretrained(base, "{REPO}", revision="{commit}")' in by_name
    by_round = by_name.replace(commit, "round-1")
    tell = "\nfound.append(told(model))\n"
    script = f"{TELL}\nfound = []\n" + tell.join([by_folder, by_name, by_round, "print(json.dumps(found))"])
    with serving(tmp_path / "registry") as (_, url):
        variables = user | {"HF_ENDPOINT": url, "PILOT_REGISTRY_URL": url, "BASE_MODEL": str(DIGITS_TINY)}
        done = subprocess.run(
            [sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    wanted = {name: hashlib.sha256(t.numpy().tobytes()).hexdigest() for name, t in lora.items()}
    assert json.loads(done.stdout) == [wanted] * 3
