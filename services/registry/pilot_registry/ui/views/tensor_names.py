"""Names of tensors, as far as they say something: what all of them begin with is said once. Pure."""

import re
from collections.abc import Sequence

NUMBERED = re.compile(r"^.*?\.\d+(?=\.)")
"""As far as the first number: `model.layers.3` of `model.layers.3.mlp.up_proj.weight`."""
PARTS = re.compile(r"(\.lora_[AB])?(\.(weight|bias))?$")


def common_beginning(names: Sequence[str]) -> str:
    """The parts, with their dots, that all names begin with; empty for a single name."""
    if len(names) < 2:
        return ""
    split = [name.split(".")[:-1] for name in names]
    shared: list[str] = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "".join(f"{part}." for part in shared)


def layer_of(name: str) -> str:
    """What a tensor belongs to: a numbered layer, or the module whose weight or bias it is."""
    if match := NUMBERED.match(name):
        return match[0]
    return PARTS.sub("", name) or name


def in_order(name: str) -> list[tuple[int, str]]:
    """A key by which `layers.10` comes after `layers.9`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
