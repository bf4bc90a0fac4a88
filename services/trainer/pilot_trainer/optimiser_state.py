"""AdamW's moments from one round to the next, for those who ask for it (ambiguity A30; the default is a fresh start).

Moments are named by parameter, so that a stage 2 finds those of the adapters that it shares with the stage before.
"""

from collections.abc import Mapping

from torch import Tensor

from pilot_trainer.train import Learner

OPTIMISER = "optimiser"


def moments(learner: Learner) -> dict[str, Tensor]:
    """`{step|exp_avg|exp_avg_sq}/{parameter}` on the CPU."""
    state = learner.optimiser.state
    return {
        f"{part}/{name}": t.detach().float().cpu().clone()
        for name, parameter in sorted(learner.trained.items())
        for part, t in sorted(state[parameter].items())
    }


def keep_moments(learner: Learner, kept: Mapping[str, Tensor]) -> None:
    """Give the optimiser the moments that it has a parameter for."""
    for key, tensor in kept.items():
        part, name = key.split("/", 1)
        parameter = learner.trained.get(name)
        if parameter is not None and (part == "step" or parameter.shape == tensor.shape):
            learner.optimiser.state[parameter][part] = tensor.to(parameter.device, copy=True)
