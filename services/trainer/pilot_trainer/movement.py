"""Did every adapter learn? An update whose adapter is bit for bit what it was trained nothing, and must not pass."""

from collections.abc import Iterable, Mapping

from torch import Tensor

_CONNECTOR = "multi_modal_projector."
TEXT = "text"


def adapter_of(parameter: str) -> str:
    """Which adapter a parameter belongs to: `text`, `task`, `client`, `router`, `cross.{task}`."""
    if _CONNECTOR not in parameter:
        return TEXT
    parts = parameter.split(_CONNECTOR)[1].split(".")
    return ".".join(parts[:2]) if parts[0] in ("cross", "foreign") else parts[0]


def unmoved(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> list[str]:
    """Adapters of which no value changed."""
    moved = {adapter_of(name) for name, t in before.items() if not t.equal(after[name].detach().to(t.device))}
    return sorted({adapter_of(name) for name in before} - moved)


def excused(adapters: Iterable[str], sparse_routing: bool, num_tasks: int) -> list[str]:
    """Those of `adapters` that may stand still: unchosen ones under top-k routing, a router with nothing to choose."""
    return [
        name
        for name in adapters
        if (sparse_routing and (name == "task" or name.startswith("cross."))) or (name == "router" and num_tasks == 1)
    ]
