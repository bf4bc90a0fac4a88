"""Losses of the local update. Pilot, arXiv 2501.13985, eq. 2, 3, 4, 7, 8, 9.

    cross-entropy  L_ce = sum_ij w_ij (-log p(y_ij | image, instruction, y_i,<j))
                   token-mean: w_ij = 1 / sum_i L_i      answer-mean: w_ij = 1 / (n L_i)
    difference     L_d = || X^T S ||_F^2 = sum_nm (X X^T)_nm (S S^T)_nm
    balance        L_b = T sum_i D_i R_i,   D_i = mean_j [argmax_i z_j = i],  R_i = mean_j softmax(z_j)_i
    router z       L_z = mean_j (log sum_i exp z_ji)^2
    stage 1        L = L_ce + lambda_0 L_d
    stage 2        L = L_ce + lambda_1 L_b + lambda_2 L_z

X, S (N x C): tokens of one image after task and client adapter.  z_BNT: router logits of B images, N tokens, T tasks.
L_i: answer tokens of sample i of n.

Deviations: the paper's L_d is not normalised and so grows with N^2 and C; by default its rows are centred and
normalised as in the domain separation networks that the paper cites, and the sum is divided by N^2, which keeps it
in [0, 1]. It is computed through N x N Grams (an identity, 7x cheaper at N=576, C=4096) and never in half precision.
"""

from typing import Literal

import torch
from pilot_proto.training import DifferenceForm
from torch import Tensor
from torch.nn import functional as F


def difference(x_t_BNC: Tensor, x_s_BNC: Tensor, form: DifferenceForm) -> Tensor:
    """L_d, averaged over images (or of all tokens together, or of the images' mean tokens). (B, N, C) -> ()."""
    with torch.autocast(x_t_BNC.device.type, enabled=False):
        X = _normalised(_rows(x_t_BNC, form), form)
        S = _normalised(_rows(x_s_BNC, form), form)
        num_rows, width = X.shape[-2:]
        squares = squared_overlap(X, S)
        if form.reduction == "mean-over-c2":
            squares = squares / width**2
        elif form.reduction == "sum-over-n2":
            squares = squares / num_rows**2
        return squares.mean()


def squared_overlap(X: Tensor, S: Tensor) -> Tensor:
    """||X^T S||_F^2 through N x N Grams: exactly symmetric in X and S, gradients too. (..., N, C) twice -> (...)."""
    return ((X @ X.mT) * (S @ S.mT)).sum((-2, -1))


def _rows(x_BNC: Tensor, form: DifferenceForm) -> Tensor:
    x = x_BNC if x_BNC.dtype == torch.float64 else x_BNC.float()
    if form.over == "pooled":
        return x.mean(-2).unsqueeze(0)
    return x.flatten(0, -2).unsqueeze(0) if form.over == "batch" else x


def _normalised(x: Tensor, form: DifferenceForm) -> Tensor:
    centred = x - x.mean(-2, keepdim=True) if form.centre else x
    if form.rows == "none":
        return centred
    axes: tuple[int, ...] = (-1,) if form.rows == "l2" else (-2, -1)
    size = torch.linalg.vector_norm(centred, dim=axes, keepdim=True)
    # Equal tokens leave only rounding noise after centring; scaling that to length one would invent a direction.
    noise = 64 * torch.finfo(x.dtype).eps * torch.linalg.vector_norm(x, dim=axes, keepdim=True)
    real = size > noise
    return torch.where(real, centred / torch.where(real, size, 1.0), 0.0)


def expert_shares(logits_BNT: Tensor, over: Literal["batch", "image"]) -> Tensor:
    """D: the share of tokens whose strongest gate is i; ties go to the lowest i. -> (1, T), or (B, T) per image."""
    winner = logits_BNT.sort(dim=-1, descending=True, stable=True).indices[..., 0]
    D_BT = F.one_hot(winner, logits_BNT.shape[-1]).to(logits_BNT.dtype).mean(-2)
    return D_BT.mean(0, keepdim=True) if over == "batch" else D_BT


def balance(logits_BNT: Tensor, shares: Tensor) -> Tensor:
    """L_b for given D. Linear in R, so a weighted sum over micro-batches with the whole batch's D is exact. -> ()."""
    R_BT = logits_BNT.softmax(-1).mean(-2)
    return logits_BNT.shape[-1] * (shares.detach() * R_BT).sum(-1).mean()


def router_z(logits_BNT: Tensor) -> Tensor:
    """L_z. -> ()."""
    return logits_BNT.logsumexp(-1).square().mean()


def cross_entropy(logits_MV: Tensor, targets_M: Tensor, weights_M: Tensor) -> Tensor:
    """L_ce of M answer tokens with the given weights; float32 or wider. -> ()."""
    with torch.autocast(logits_MV.device.type, enabled=False):
        wide = logits_MV if logits_MV.dtype == torch.float64 else logits_MV.float()
        return (F.cross_entropy(wide, targets_M, reduction="none") * weights_M).sum()


def token_weight(averaging: Literal["token-mean", "answer-mean"], answer_tokens: list[int]) -> list[float]:
    """w_i, the weight of each answer token of sample i, for a batch whose samples have `answer_tokens` tokens."""
    if averaging == "token-mean":
        return [1 / sum(answer_tokens)] * len(answer_tokens)
    return [1 / (len(answer_tokens) * L_i) for L_i in answer_tokens]
