"""What autograd keeps from a forward to its backward pass, in bytes: activations, and casts of trained weights."""

from typing import Any

import torch
from pilot_model.model import autocast
from pilot_trainer.batches import micro_batches
from pilot_trainer.train import Learner
from torch import Tensor


def kept_by_autograd(learner: Learner, micro: int) -> int:
    """Of one micro-batch; every storage counts once, parameters and buffers not at all."""
    samples = [learner._examples[i] for i in range(micro)]
    (batch,) = micro_batches(samples, micro, "token-mean", 0)
    features = learner._features(batch.images)
    own = {t.untyped_storage().data_ptr() for t in (*learner.student.parameters(), *learner.student.buffers())}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            # Held, so that its place in memory cannot be given to another.
            kept[storage.data_ptr()] = tensor
        return tensor

    def unpack(tensor: Any) -> Any:
        return tensor

    device, precision = learner.accelerator.device, learner.settings.precision
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack), autocast(device, precision):
        learner.student(batch.to(device), features, None)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
