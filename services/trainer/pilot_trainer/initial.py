"""Where each adapter of a connector starts. Pilot, arXiv 2501.13985, sections on stage 1 and stage 2; ambiguities
A4, A5, A8, A10, A11, A14, A16, A17, A31.

    psi^s     = psi_0 (1 + jitter noise)     or random, or with a zero output layer, or absent
    psi^c_i   = own psi^t of the round before (stage 1), or the aggregated one; kept from round to round
    phi       = N(0, std^2), zeros, or a bias that gives the local task one half of the gate

psi_0: the base model's own projector.  jitter: relative to the standard deviation of each tensor.

Deviation: the paper copies psi_0 into both psi^t and psi^s. The loss depends on them only through their sum and
through L_d, which is symmetric, so they would stay equal for ever; a relative jitter of 1e-3 breaks the tie.
"""

import math
import warnings

import torch
from pilot_model.connector import Branch, Connector, Plain, Stage1, Stage2, Tensors
from pilot_model.parts import Sources, router_rows, under
from pilot_proto.training import ClientAdapter, Program, Router
from pilot_proto.training import Connector as Settings
from torch import Tensor, nn

from pilot_trainer.errors import BadAssignment, SymmetricStart


def start_of_training(
    program: Program, local: str, sources: Sources, settings: Settings, act: nn.Module, seed: int
) -> Connector:
    """The connector at the first step of a local update, with `requires_grad` set on what is trained.

    Raises BadAssignment when stage 2 lacks what a stage 1 should have left.
    """
    generator = torch.Generator().manual_seed(seed)
    if program == "plain":
        return Plain(Branch(sources.own, act))
    if program == "stage-1":
        return _stage_1(sources, settings.client_adapter, act, generator)
    if program == "stage-2":
        return _stage_2(local, sources, settings, act, generator)
    raise BadAssignment(f"program {program!r} trains no connector; use plain, stage-1 or stage-2")


def _stage_1(sources: Sources, settings: ClientAdapter, act: nn.Module, generator: torch.Generator) -> Connector:
    half = settings.scale == "halve" and settings.init == "copy" and _untrained(sources)
    task = Branch(halved(sources.own) if half else sources.own, act)
    if settings.init == "none":
        return Plain(task)
    client = under("client", sources.private) or client_start(sources.psi_0, settings, generator)
    return Stage1(task, Branch(client, act))


def _untrained(sources: Sources) -> bool:
    return all(torch.equal(sources.own[name], tensor) for name, tensor in sources.psi_0.items())


def client_start(psi_0: Tensors, settings: ClientAdapter, generator: torch.Generator) -> dict[str, Tensor]:
    """psi^s before its first update."""
    if settings.init == "random":
        return {name: _random(name, psi_0, generator) for name in sorted(psi_0)}
    if settings.init == "zero-output":
        return {name: t.new_zeros(t.shape) if name.startswith("linear_2.") else t for name, t in psi_0.items()}
    if settings.jitter == 0:
        warnings.warn(
            "client_adapter: init 'copy' without jitter: psi^t and psi^s get equal gradients and never separate; "
            "set jitter (1e-3), or init: random",
            SymmetricStart,
            stacklevel=2,
        )
    start = {name: _jittered(psi_0[name], settings.jitter, generator) for name in sorted(psi_0)}
    return halved(start) if settings.scale == "halve" else start


def halved(tensors: Tensors) -> dict[str, Tensor]:
    """The branch with half the output."""
    return {name: t / 2 if name.startswith("linear_2.") else t for name, t in tensors.items()}


def _random(name: str, like: Tensors, generator: torch.Generator) -> Tensor:
    """Uniform in +-1/sqrt(fan-in), as torch starts a Linear."""
    bound = 1 / math.sqrt(like[f"{name.split('.')[0]}.weight"].shape[1])
    return torch.rand(like[name].shape, generator=generator) * 2 * bound - bound


def _jittered(tensor: Tensor, jitter: float, generator: torch.Generator) -> Tensor:
    noise = torch.randn(tensor.shape, generator=generator)
    return tensor + noise * (jitter * tensor.std(correction=0).item())


def _stage_2(local: str, sources: Sources, settings: Settings, act: nn.Module, generator: torch.Generator) -> Connector:
    if not sources.private:
        raise BadAssignment("stage-2 builds on the client's own stage-1 result, and no private state was assigned")
    if local not in sources.tasks:
        raise BadAssignment(f"the inputs hold no connector of the own task {local!r}")
    own_stage_1 = under("task", sources.private)
    task = sources.tasks[local] if settings.own_init == "aggregated" else own_stage_1
    foreign = {name: tensors for name, tensors in sources.tasks.items() if name != local}
    cross_start = own_stage_1 if settings.cross_init == "own-stage-1" else sources.tasks[local]
    kept = {name: under(f"cross.{name}", sources.private) for name in foreign if settings.cross_life == "kept"}
    router = router_start(
        sorted(sources.tasks), local, own_stage_1["linear_1.weight"].shape[1], settings.router, generator
    )
    if settings.router.life == "kept":
        keep_router(router, sorted(sources.tasks), sources.private, local)
    client = None if settings.client_adapter.in_stage_2 == "drop" else under("client", sources.private)
    connector = Stage2(
        local,
        Branch(task, act),
        {name: Branch(tensors, act).requires_grad_(False) for name, tensors in foreign.items()},
        {name: Branch(kept.get(name) or cross_start, act) for name in foreign},
        router,
        Branch(client, act) if client else None,
        settings.router,
    )
    if connector.client is not None:
        connector.client.requires_grad_(settings.client_adapter.in_stage_2 == "add-trained")
    return connector


def started(connector: Connector, sources: Sources, settings: Settings) -> tuple[str, ...]:
    """The parts of a connector, ready to train, that have no predecessor in the private state: `client`,
    `cross.TASK`, `router.TASK`."""
    private = sources.private
    parts = ["client"] if getattr(connector, "client", None) is not None and not under("client", private) else []
    if isinstance(connector, Stage2):
        cross = {name for name in connector.cross if settings.cross_life == "kept" and under(f"cross.{name}", private)}
        rows = router_rows(private, connector.local) if settings.router.life == "kept" else []
        parts += [f"cross.{name}" for name in sorted(set(connector.cross) - cross)]
        parts += [f"router.{name}" for name in connector.tasks if name not in rows]
    return tuple(parts)


def router_start(tasks: list[str], local: str, width: int, settings: Router, generator: torch.Generator) -> nn.Linear:
    """phi before its first update; rows in the order of `tasks`."""
    router = nn.Linear(width, len(tasks))
    noise = torch.randn(router.weight.shape, generator=generator) * settings.init_std
    with torch.no_grad():
        router.weight.copy_(torch.zeros_like(noise) if settings.init == "zeros" else noise)
        router.bias.zero_()
        if settings.init == "local" and len(tasks) > 1:
            router.bias[tasks.index(local)] = math.log(len(tasks) - 1)
    return router


def keep_router(router: nn.Linear, tasks: list[str], private: Tensors, local: str) -> None:
    """Take the rows that the private router has, task by task: tasks may have joined since, and others left."""
    before = router_rows(private, local)
    with torch.no_grad():
        for row, name in enumerate(tasks):
            if name in before:
                router.weight[row] = private["router.weight"][before.index(name)]
                router.bias[row] = private["router.bias"][before.index(name)]
