"""How many numbers each program trains, keeps and sends; exact, from shapes. Pure.

    C (V + 1) + C (C + 1)     one adapter psi, P below      V - C - C, with biases
    r (in + out)              LoRA on one linear layer
    T (V + 1)                 the router

    plain     trains psi^t                                        and LoRA
    stage 1   trains psi^t, psi^s                                 and LoRA
    stage 2   trains psi^t_1, T - 1 cross-task psi^c, the router  and LoRA; holds T - 1 foreign psi^t and psi^s frozen

Sent up: psi^t and LoRA. Sent down: LoRA and psi^t; in stage 2 the T task adapters, of which one is the own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from pilot_proto.llava import Llava, Shape
from pilot_proto.targets import matched
from pilot_proto.training import Lora, Program, Training

F32_BYTES = 4
Tensors = Mapping[str, Shape]


@dataclass(frozen=True)
class Numbers:
    """Of one client in one round."""

    text: int
    """LoRA; trained."""
    connector_trained: int
    connector_frozen: int
    branches_trained: int
    """Adapters psi among `connector_trained`."""

    @property
    def trained(self) -> int:
        return self.text + self.connector_trained

    @property
    def kept(self) -> int:
        """Of the private state: the whole connector and LoRA."""
        return self.text + self.connector_trained + self.connector_frozen


def numbers(llava: Llava, training: Training, program: Program, tasks: int) -> Numbers:
    """What a client of a run with that many tasks trains and holds."""
    settings = training.connector.client_adapter
    one, text = count(llava.connector()), count(text_tensors(llava, training.lora))
    client = 0 if settings.init == "none" else 1
    if program == "stage-1":
        return Numbers(text, (1 + client) * one, 0, 1 + client)
    if program != "stage-2":
        return Numbers(text, one, 0, 1)
    client = 0 if settings.in_stage_2 == "drop" else client
    learning = client if settings.in_stage_2 == "add-trained" else 0
    router = tasks * (llava.visual_width + 1)
    return Numbers(
        text=text,
        connector_trained=(tasks + learning) * one + router,
        connector_frozen=(tasks - 1 + client - learning) * one,
        branches_trained=tasks + learning,
    )


def text_tensors(llava: Llava, lora: Lora) -> dict[str, Shape]:
    """The text adapter's tensors under peft's key form. Raises BadTarget when the target matches nothing."""
    linears = llava.language_linears()
    shapes: dict[str, Shape] = {}
    for name in matched(lora.target_modules, linears):
        wide, narrow = linears[name]
        shapes[f"base_model.model.{name}.lora_A.weight"] = (lora.r, narrow)
        shapes[f"base_model.model.{name}.lora_B.weight"] = (wide, lora.r)
    return shapes


def count(tensors: Tensors) -> int:
    """Numbers in tensors."""
    return sum(prod(shape) for shape in tensors.values())


def file_bytes(tensors: Tensors) -> int:
    """The size of the safetensors file that holds them in F32, header and padding included."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name in sorted(tensors):
        end = place + prod(tensors[name]) * F32_BYTES
        header[name] = {"dtype": "F32", "shape": list(tensors[name]), "data_offsets": [place, end]}
        place = end
    text = len(json.dumps(header, separators=(",", ":")))
    return 8 + text + -text % 8 + place
