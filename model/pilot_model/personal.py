"""What makes a base model a client's own, and putting it there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pilot_proto.run import TrainingProgram
from pilot_proto.training import Connector as Settings
from pilot_proto.training import Lora, Router
from torch import Tensor

from pilot_model.assembly import as_saved
from pilot_model.connector import Connector, Stage2, Tensors
from pilot_model.model import Base


@dataclass(frozen=True)
class Parts:
    """The parts of a personal model, by name as in a connector's `state_dict` and in peft's files."""

    program: TrainingProgram
    task: str
    router: Router
    connector: Tensors
    lora: Lora
    text: Mapping[str, Tensor]
    """Empty where the base holds it already."""


def personalised(base: Base, parts: Parts) -> Any:
    """The base's model with these parts in it, ready to answer; the base is used up.

    Raises DoesNotFit when they belong to another model, another LoRA setting, or are incomplete.
    """
    if parts.text:
        # Imported here: a folder with folded weights runs where peft is not installed.
        from pilot_model.lora import TextAdapter

        TextAdapter(base.llava, parts.lora).load(parts.text)
    connector = connector_of(parts, base)
    base.use(in_precision(connector, base.llava.dtype).requires_grad_(False).eval())
    return base.llava.requires_grad_(False).eval()


def connector_of(parts: Parts, base: Base) -> Connector:
    """The parts' connector, in float32."""
    return as_saved(parts.program, parts.task, parts.connector, Settings(router=parts.router), base.act)


def in_precision(connector: Connector, dtype: torch.dtype) -> Connector:
    """Branches in the model's own precision, as autocast has them in training; the router stays in float32."""
    connector.to(dtype)
    if isinstance(connector, Stage2):
        connector.router.float()
    return connector
