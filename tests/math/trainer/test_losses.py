"""Each loss against a second, naive writing, the vectors of the paper's reading, and its boundaries."""

import math

import pytest
import torch
from pilot_proto.training import DifferenceForm
from pilot_trainer import losses
from torch import Tensor

RAW = DifferenceForm(centre=False, rows="none", reduction="sum")
DSN = DifferenceForm(reduction="sum")
SMALL = ([[1, 2], [3, 4]], [[0, 1], [1, 0]])
TALL = ([[1, 0, 2], [0, 1, 0], [2, 1, 1], [1, 2, 1]], [[1, 1, 0], [0, 2, 1], [2, 0, 1], [1, 1, 2]])
LOGITS = torch.tensor([[[2.0, 1, 0], [0, 0, 0], [1, 3, 1], [0, 0, 2]]], dtype=torch.float64)


def tokens(rows: list[list[int]]) -> Tensor:
    return torch.tensor([rows], dtype=torch.float64)


def naive_difference(X: Tensor, S: Tensor) -> float:
    """Rows centred and normalised, then every entry of the C x C product squared, in plain loops; over N^2."""

    def rows(x: Tensor) -> list[list[float]]:
        means = [sum(column) / len(x) for column in zip(*x.tolist(), strict=True)]
        centred = [[v - m for v, m in zip(row, means, strict=True)] for row in x.tolist()]
        return [[v / math.sqrt(sum(w * w for w in row)) for v in row] for row in centred]

    a, b = rows(X), rows(S)
    width, count = X.shape[1], X.shape[0]
    products = [sum(a[n][i] * b[n][j] for n in range(count)) for i in range(width) for j in range(width)]
    return sum(p * p for p in products) / count**2


@pytest.mark.parametrize(
    ("rows", "form", "expected"),
    [
        (SMALL, RAW, 30.0),
        (SMALL, DSN, 4.0),
        (SMALL, DifferenceForm(reduction="mean-over-c2"), 1.0),
        (SMALL, DifferenceForm(), 1.0),
        (TALL, RAW, 167.0),
        (TALL, DSN, 4 + 2 * math.sqrt(2)),
        (TALL, DifferenceForm(reduction="mean-over-c2"), 0.7587141250),
        (TALL, DifferenceForm(), 0.4267766953),
    ],
)
def test_the_difference_loss_has_the_values_of_vector_t3(rows, form, expected):
    assert losses.difference(tokens(rows[0]), tokens(rows[1]), form).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (5, 5)])
def test_the_difference_loss_equals_a_naive_writing_for_more_and_for_fewer_tokens_than_features(shape):
    torch.manual_seed(0)
    X, S = torch.randn(2, *shape, dtype=torch.float64)
    got = losses.difference(X[None], S[None], DifferenceForm()).item()
    assert got == pytest.approx(naive_difference(X, S), rel=1e-9)


@pytest.mark.parametrize("shape", [(6, 2), (2, 6)])
def test_the_gram_form_equals_the_direct_form(shape):
    torch.manual_seed(1)
    X, S = torch.randn(2, 3, *shape, dtype=torch.float64)
    direct = torch.einsum("bnc,bnd->bcd", X, S).square().sum((1, 2))
    torch.testing.assert_close(losses.squared_overlap(X, S), direct, rtol=1e-12, atol=0)


def test_equal_features_are_punished_by_their_own_gram():
    X = tokens(TALL[0])
    assert losses.difference(X, X, RAW).item() == pytest.approx((X[0].T @ X[0]).square().sum().item())


def test_the_whole_matrix_may_be_normalised_instead_of_each_row():
    torch.manual_seed(2)
    X, S = torch.randn(2, 1, 5, 3, dtype=torch.float64)
    form = DifferenceForm(centre=False, rows="frobenius", reduction="sum")
    expected = (X[0].T @ S[0]).square().sum() / (X.square().sum() * S.square().sum())
    assert losses.difference(X, S, form).item() == pytest.approx(expected.item(), rel=1e-9)


def test_images_are_averaged_unless_all_tokens_or_mean_tokens_are_asked_for():
    torch.manual_seed(3)
    X, S = torch.randn(2, 4, 5, 3, dtype=torch.float64)
    per_image = [naive_difference(x, s) for x, s in zip(X, S, strict=True)]
    assert losses.difference(X, S, DifferenceForm()).item() == pytest.approx(sum(per_image) / 4, rel=1e-9)
    batch = losses.difference(X, S, DifferenceForm(over="batch")).item()
    assert batch == pytest.approx(naive_difference(X.flatten(0, 1), S.flatten(0, 1)), rel=1e-9)
    pooled = losses.difference(X, S, DifferenceForm(over="pooled")).item()
    assert pooled == pytest.approx(naive_difference(X.mean(1), S.mean(1)), rel=1e-9)


@pytest.mark.parametrize("num_tokens", [1, 6])
def test_equal_tokens_give_zero_and_a_finite_gradient(num_tokens):
    row = torch.randn(1, 1, 40, generator=torch.Generator().manual_seed(4))
    X = row.repeat(1, num_tokens, 1).requires_grad_()
    S = torch.randn(1, num_tokens, 40, generator=torch.Generator().manual_seed(5), requires_grad=True)
    loss = losses.difference(X, S, DifferenceForm())
    loss.backward()
    assert loss.item() == 0.0
    assert X.grad is not None
    assert torch.isfinite(X.grad).all()


def test_autocast_does_not_lower_the_precision_of_the_difference_loss():
    torch.manual_seed(6)
    X, S = torch.randn(2, 2, 9, 16)
    plain = losses.difference(X, S, DifferenceForm())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = losses.difference(X, S, DifferenceForm())
    assert under.dtype == torch.float32
    assert under.item() == plain.item()


def test_the_router_losses_have_the_values_of_vector_t4():
    shares = losses.expert_shares(LOGITS, "batch")
    assert shares.tolist() == [[0.5, 0.25, 0.25]]
    assert losses.balance(LOGITS, shares).item() == pytest.approx(0.9771727963, rel=1e-9)
    assert losses.router_z(LOGITS).item() == pytest.approx(5.6284316233, rel=1e-9)


def test_uniform_logits_are_balanced_and_ties_go_to_the_first_adapter():
    uniform = torch.zeros(2, 3, 3, dtype=torch.float64)
    shares = losses.expert_shares(uniform, "batch")
    assert shares.tolist() == [[1.0, 0.0, 0.0]]
    assert losses.balance(uniform, shares).item() == pytest.approx(1.0)
    assert losses.router_z(uniform).item() == pytest.approx(math.log(3) ** 2)


def test_a_collapsed_router_costs_as_much_as_there_are_tasks():
    collapsed = torch.tensor([[[50.0, 0, 0]]], dtype=torch.float64)
    assert losses.balance(collapsed, losses.expert_shares(collapsed, "batch")).item() == pytest.approx(3.0)


def test_balance_may_be_averaged_per_image_first():
    torch.manual_seed(7)
    logits = torch.randn(3, 5, 4, dtype=torch.float64)
    per_image = [losses.balance(z[None], losses.expert_shares(z[None], "batch")).item() for z in logits]
    whole = losses.balance(logits, losses.expert_shares(logits, "image")).item()
    assert whole == pytest.approx(sum(per_image) / 3, rel=1e-12)


def test_micro_batches_add_up_to_the_whole_batch_when_they_share_its_expert_shares():
    torch.manual_seed(8)
    logits = torch.randn(6, 5, 3, dtype=torch.float64)
    shares = losses.expert_shares(logits, "batch")
    parts = [losses.balance(part, shares).item() * len(part) / 6 for part in logits.split([1, 2, 3])]
    assert sum(parts) == pytest.approx(losses.balance(logits, shares).item(), rel=1e-12)


def test_token_mean_weighs_every_answer_token_the_same():
    torch.manual_seed(9)
    logits, targets = torch.randn(7, 11, dtype=torch.float64), torch.randint(0, 11, (7,))
    weights = [w for w, n in zip(losses.token_weight("token-mean", [2, 5]), [2, 5], strict=True) for _ in range(n)]
    got = losses.cross_entropy(logits, targets, torch.tensor(weights, dtype=torch.float64))
    naive = sum(-logits[i].log_softmax(0)[targets[i]].item() for i in range(7)) / 7
    assert got.item() == pytest.approx(naive, rel=1e-12)


def test_answer_mean_weighs_every_answer_the_same():
    torch.manual_seed(10)
    logits, targets = torch.randn(7, 11, dtype=torch.float64), torch.randint(0, 11, (7,))
    weights = [w for w, n in zip(losses.token_weight("answer-mean", [2, 5]), [2, 5], strict=True) for _ in range(n)]
    got = losses.cross_entropy(logits, targets, torch.tensor(weights, dtype=torch.float64))
    nll = [-logits[i].log_softmax(0)[targets[i]].item() for i in range(7)]
    assert got.item() == pytest.approx((sum(nll[:2]) / 2 + sum(nll[2:]) / 5) / 2, rel=1e-12)
