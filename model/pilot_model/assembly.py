"""Connectors put together from finished parts: as a round published them, or as an update left them."""

from collections.abc import Mapping

from pilot_proto.training import Connector as Settings
from pilot_proto.training import Program
from torch import nn

from pilot_model.connector import Branch, Connector, Plain, Stage1, Stage2, Tensors
from pilot_model.errors import DoesNotFit
from pilot_model.parts import Sources, router_rows, under


def as_published(
    program: Program | None, local: str, sources: Sources, settings: Settings, act: nn.Module
) -> Connector:
    """The connector at the point `merged`: what was published, in the architecture of the update that it followed.

    `program` is that update's; None before the first, which is the untouched base.
    """
    if program in (None, "plain", "prepare"):
        return Plain(Branch(sources.own, act))
    client = under("client", sources.private)
    if program == "stage-1":
        return Stage1(Branch(sources.own, act), Branch(client, act)) if client else Plain(Branch(sources.own, act))
    if local not in sources.tasks:
        raise DoesNotFit(f"the inputs hold no connectors by task, of {local} and others, which the private state needs")
    # A run that goes on without some tasks hands nothing out for them: their adapters and rows are left out.
    names = [name for name in _cross_tasks(sources.private) if name in sources.tasks]
    cross = {name: under(f"cross.{name}", sources.private) for name in names}
    foreign = {name: Branch(sources.tasks[name], act) for name in names}
    return _assembled(local, sources.own, foreign, cross, sources.private, settings, act)


def as_saved(program: Program, local: str, private: Tensors, settings: Settings, act: nn.Module) -> Connector:
    """The connector of a stored result, at the point `local`."""
    client, task = under("client", private), under("task", private)
    if program != "stage-2":
        return Stage1(Branch(task, act), Branch(client, act)) if client else Plain(Branch(task, act))
    names = _cross_tasks(private)
    foreign = {name: Branch(under(f"foreign.{name}", private), act) for name in names}
    cross = {name: under(f"cross.{name}", private) for name in names}
    return _assembled(local, task, foreign, cross, private, settings, act)


def _assembled(
    local: str,
    task: Tensors,
    foreign: Mapping[str, Branch],
    cross: Mapping[str, Tensors],
    private: Tensors,
    settings: Settings,
    act: nn.Module,
) -> Stage2:
    """Stage 2 from its finished parts; router and client adapter come from the private state."""
    rows = [row for row, name in enumerate(router_rows(private, local)) if name == local or name in foreign]
    router = nn.Linear(private["router.weight"].shape[1], len(rows))
    router.load_state_dict({name: t[rows] for name, t in under("router", private).items()})
    client = under("client", private)
    return Stage2(
        local,
        Branch(task, act),
        foreign,
        {name: Branch(tensors, act) for name, tensors in cross.items()},
        router,
        Branch(client, act) if client else None,
        settings.router,
    )


def _cross_tasks(private: Tensors) -> list[str]:
    return sorted({name.split(".")[1] for name in private if name.startswith("cross.")})
