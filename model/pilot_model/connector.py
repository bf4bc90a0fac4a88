"""Connectors between vision encoder and language model. Pilot, arXiv 2501.13985, eq. 1, 2, 5, 6.

    branch       psi(H) = gelu(H W1^T + b1) W2^T + b2
    plain        x = psi^t(H)
    stage 1      x = psi^t(H) + psi^s(H)
    stage 2      P = softmax(phi(H))
                 x = P_l psi^t_l(H) + sum_{i != l} P_i (psi^t_i(H) + psi^c_i(H)) + psi^s(H)

H_BNV: features of the frozen encoder (B images, N tokens, V wide).  x_BNC: embeddings for the language model.
psi^t task adapter, psi^s client adapter, psi^c_i cross-task adapter, phi router, l the local task.
P_BNT: gates over the T tasks in sorted order of their names, the same order at every client and in every round.

Deviations: psi^c_i is parallel to psi^t_i (a serial one could not start from psi^t: 1024 in, 4096 out); the router
sees each token unless told to see the mean of an image's tokens; routing runs in float32 under any autocast.
A forward leaves what the losses need in a trace that must be taken exactly once: a batch without images leaves
None, never the trace of the batch before.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from pilot_proto.training import Router
from torch import Tensor, nn
from torch.nn import functional as F

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Trace:
    """What one forward leaves for the losses."""

    task_BNC: Tensor | None = None
    client_BNC: Tensor | None = None
    router_logits_BNT: Tensor | None = None


class Branch(nn.Module):
    """One adapter psi: Linear, activation, Linear, with the parameter names of LLaVA's projector."""

    def __init__(self, tensors: Tensors, act: nn.Module) -> None:
        """tensors: `linear_{1,2}.weight` (out, in) and optionally `linear_{1,2}.bias` (out); copied in float32."""
        super().__init__()
        self.linear_1 = _linear(tensors, "linear_1")
        self.act = act
        self.linear_2 = _linear(tensors, "linear_2")

    def forward(self, H: Tensor) -> Tensor:
        """(..., V) -> (..., C)."""
        return self.linear_2(self.act(self.linear_1(H)))  # type: ignore[no-any-return]


def _linear(tensors: Tensors, name: str) -> nn.Linear:
    weight = tensors[f"{name}.weight"]
    bias = tensors.get(f"{name}.bias")
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device=weight.device)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


class Connector(nn.Module):
    """A connector of one program; takes the place of `model.multi_modal_projector`."""

    def __init__(self) -> None:
        super().__init__()
        self._trace: Trace | None = None

    def take_trace(self) -> Trace | None:
        """The trace of the last forward, once; None when no image ran since the last call."""
        trace, self._trace = self._trace, None
        return trace


class Plain(Connector):
    """LLaVA's own form: one adapter."""

    def __init__(self, task: nn.Module) -> None:
        super().__init__()
        self.task = task

    def forward(self, H_BNV: Tensor) -> Tensor:
        """(B, N, V) -> (B, N, C)."""
        return self.task(H_BNV)  # type: ignore[no-any-return]


class Stage1(Connector):
    """Task adapter plus client adapter."""

    def __init__(self, task: nn.Module, client: nn.Module) -> None:
        super().__init__()
        self.task, self.client = task, client

    def forward(self, H_BNV: Tensor) -> Tensor:
        """(B, N, V) -> (B, N, C)."""
        x_t, x_s = self.task(H_BNV), self.client(H_BNV)
        self._trace = Trace(task_BNC=x_t, client_BNC=x_s)
        return x_t + x_s  # type: ignore[no-any-return]


class Stage2(Connector):
    """CT-MoA: the local task adapter, and for each foreign task its frozen adapter plus our cross-task adapter."""

    def __init__(
        self,
        local: str,
        task: nn.Module,
        foreign: Mapping[str, nn.Module],
        cross: Mapping[str, nn.Module],
        router: nn.Linear,
        client: nn.Module | None,
        routing: Router,
    ) -> None:
        super().__init__()
        assert foreign.keys() == cross.keys()
        assert local not in foreign
        assert len(foreign) + 1 == router.out_features
        self.local, self.tasks = local, tuple(sorted([local, *foreign]))
        self.task, self.router, self.client = task, router, client
        self.foreign, self.cross = nn.ModuleDict(foreign), nn.ModuleDict(cross)
        self.routing = routing

    def logits(self, H_BNV: Tensor) -> Tensor:
        """Router logits in float32: (B, N, T), or (B, 1, T) when the router sees the mean token."""
        with torch.autocast(H_BNV.device.type, enabled=False):
            H = H_BNV.to(self.router.weight.dtype)
            return self.router(H.mean(-2, keepdim=True) if self.routing.per == "image" else H)  # type: ignore[no-any-return]

    def forward(self, H_BNV: Tensor) -> Tensor:
        """(B, N, V) -> (B, N, C)."""
        z = self.logits(H_BNV)
        P = gates(z, self.routing.top_k if self.routing.gating == "top-k" else None)
        x: Tensor | None = None
        for i, name in enumerate(self.tasks):
            x_i = self.task(H_BNV) if name == self.local else self.foreign[name](H_BNV) + self.cross[name](H_BNV)
            x_i = P[..., i : i + 1].to(x_i.dtype) * x_i
            x = x_i if x is None else x + x_i
        assert x is not None
        self._trace = Trace(router_logits_BNT=z)
        return x if self.client is None else x + self.client(H_BNV)


def gates(logits: Tensor, top_k: int | None) -> Tensor:
    """softmax over the last axis; with `top_k` only the k largest, renormalised to sum to one. (..., T) -> (..., T)."""
    P = logits.softmax(-1)
    if top_k is None or top_k >= P.shape[-1]:
        return P
    # A stable sort, so that ties go to the lowest index on every device.
    first = P.sort(dim=-1, descending=True, stable=True).indices[..., :top_k]
    kept = P * F.one_hot(first, P.shape[-1]).sum(-2)
    return kept / kept.sum(-1, keepdim=True)
