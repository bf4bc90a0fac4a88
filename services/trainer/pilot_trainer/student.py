"""The model that learns: frozen base, LoRA and a connector, from a micro-batch to the parts of its loss."""

from typing import Any

import torch
from pilot_model.connector import Connector, Stage1, Stage2, Trace
from pilot_model.model import as_image_features
from pilot_proto.training import Losses
from torch import Tensor, nn

from pilot_trainer import losses
from pilot_trainer.batches import MicroBatch

GATES = "gates"
"""The part that is no loss: the mean gate of each task's adapter (T)."""

Parts = dict[str, Tensor]
"""The loss and its unweighted parts, each the micro-batch's share of the step's: shares add up over a step."""


class Student(nn.Module):
    """One module, so that data parallelism sees every trained parameter in one forward."""

    def __init__(self, llava: Any, settings: Losses) -> None:
        """llava: with LoRA attached and a connector in the place of its projector."""
        super().__init__()
        self.llava, self.settings = llava, settings

    @property
    def connector(self) -> Connector:
        """What stands in the projector's place."""
        connector = self.llava.model.multi_modal_projector
        assert isinstance(connector, Connector)
        return connector

    @property
    def loss_names(self) -> tuple[str, ...]:
        """The losses that this connector has, the whole first."""
        auxiliary = {Stage1: ("difference",), Stage2: ("balance", "z")}
        return ("total", "cross_entropy", *auxiliary.get(type(self.connector), ()))

    @property
    def gate_names(self) -> tuple[str, ...]:
        """The tasks that the router chooses among; none outside stage 2."""
        return self.connector.tasks if isinstance(self.connector, Stage2) else ()

    def forward(self, batch: MicroBatch, H_BNV: Tensor | None, shares: Tensor | None) -> Parts:
        """Parts for features H of the batch's images and, in stage 2, the whole step's expert shares."""
        seen = {} if H_BNV is None else {"image": as_image_features(self.connector(H_BNV))}
        trace = self.connector.take_trace()
        # Padding stands on the right, where a causal model cannot see it: no mask is needed.
        hidden = self.llava.model(input_ids=batch.ids_BL, mm_encoder_outputs=seen, use_cache=False).last_hidden_state
        logits_MV = self.llava.lm_head(hidden[batch.predicts_BL])
        parts = {"cross_entropy": losses.cross_entropy(logits_MV, batch.targets_M, batch.weights_M)}
        if trace is not None:
            auxiliary = self._auxiliary(trace, shares)
            parts |= {name: batch.image_share * value for name, value in auxiliary.items()}
        factors = {"cross_entropy": 1.0, **self.settings.model_dump(include={"difference", "balance", "z"})}
        total = torch.stack([factors[name] * value for name, value in parts.items() if name in factors]).sum()
        return {"total": total, **parts}

    def _auxiliary(self, trace: Trace, shares: Tensor | None) -> Parts:
        parts: Parts = {}
        if trace.task_BNC is not None and trace.client_BNC is not None:
            form = self.settings.difference_form
            parts["difference"] = losses.difference(trace.task_BNC, trace.client_BNC, form)
        if trace.router_logits_BNT is not None:
            z = trace.router_logits_BNT
            if shares is None:
                shares = losses.expert_shares(z, self.settings.balance_over)
            parts |= {"balance": losses.balance(z, shares), "z": losses.router_z(z)}
            parts[GATES] = z.detach().softmax(-1).mean((0, 1))
        return parts

    @torch.no_grad()
    def step_shares(self, H_BNV: Tensor) -> Tensor | None:
        """D of a whole step's images, when the balance loss averages over them; None when it needs none."""
        connector = self.connector
        if not isinstance(connector, Stage2) or self.settings.balance_over == "image":
            return None
        return losses.expert_shares(connector.logits(H_BNV), "batch")
