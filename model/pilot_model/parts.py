"""What a connector is made of, by name."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from pilot_model.connector import Tensors


@dataclass(frozen=True)
class Sources:
    """What a connector may be made of; every branch under its LLaVA names (`linear_1.weight`, ...)."""

    psi_0: Tensors
    """The base model's projector."""
    own: Tensors
    """What the server hands out as this client's connector."""
    tasks: Mapping[str, Tensors]
    """What the server hands out for each task; stage 2."""
    private: Tensors
    """A connector's `state_dict` from the client's last accepted update; empty before the first."""


def router_rows(private: Tensors, local: str) -> list[str]:
    """The tasks of a private router's rows, in their order; none without a router."""
    if "router.weight" not in private:
        return []
    return sorted({name.split(".")[1] for name in private if name.startswith("cross.")} | {local})


def under(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix.`, without it."""
    return {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}
