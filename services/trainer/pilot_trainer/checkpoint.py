"""Where an update stood: adapters, optimiser, schedule, random state. Written whole or not at all."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from pilot_trainer.history import History
from pilot_trainer.train import Learner

FILE = "checkpoint.pt"


def save(learner: Learner, assignment: str, note: str, folder: Path) -> None:
    """Replace the folder's checkpoint; a crash in between leaves the old one. `note` is the caller's own."""
    part = folder / f".{FILE}.part"
    with part.open("wb") as stream:
        torch.save(_state(learner, assignment, note), stream)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(folder / FILE)


def _state(learner: Learner, assignment: str, note: str) -> dict[str, Any]:
    return {
        "assignment": assignment,
        "note": note,
        "done": learner.done,
        "micro": learner.micro,
        "history": asdict(learner.history),
        "trained": {name: p.detach() for name, p in learner.trained.items()},
        "optimiser": learner.optimiser.state_dict(),
        "scheduler": learner.scheduler.state_dict(),
        "random": torch.random.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if learner.accelerator.device.type == "cuda" else [],
    }


def newest(work: Path, assignment: str) -> dict[str, Any] | None:
    """The furthest readable checkpoint of this assignment by any incarnation."""
    found = [state for file in sorted(work.glob(f"*/{FILE}")) if (state := _read(file, assignment)) is not None]
    return max(found, key=lambda state: int(state["done"]), default=None)


def _read(file: Path, assignment: str) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError):
        # Another incarnation may just be tidying up; without this checkpoint we only start earlier.
        return None
    return state if state.get("assignment") == assignment else None


def restore(learner: Learner, state: Mapping[str, Any]) -> None:
    """Continue where the checkpoint stands."""
    with torch.no_grad():
        for name, parameter in learner.trained.items():
            parameter.copy_(state["trained"][name])
    learner.optimiser.load_state_dict(state["optimiser"])
    learner.scheduler.load_state_dict(state["scheduler"])
    learner.history, learner.done = History(**state["history"]), int(state["done"])
    # On the same GPU the same size fits again; on a smaller one the search goes on from there.
    learner.micro = state["micro"]
    torch.random.set_rng_state(state["random"])
    if state["random_cuda"] and learner.accelerator.device.type == "cuda":
        torch.cuda.set_rng_state_all(state["random_cuda"])
