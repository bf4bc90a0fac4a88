"""The connectors of eq. 2 and eq. 6 against naive writings, and the trace that must not go stale."""

import pytest
import torch
from pilot_model.connector import Branch, Plain, Stage1, Stage2, gates
from pilot_proto.training import Router
from torch import Tensor, nn

V, C = 5, 7


class Line(nn.Module):
    """h -> a h + b."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self.a, self.b = a, b

    def forward(self, h: Tensor) -> Tensor:
        return self.a * h + self.b


def branch(seed: int) -> Branch:
    g = torch.Generator().manual_seed(seed)
    shapes = {"linear_1.weight": (C, V), "linear_1.bias": (C,), "linear_2.weight": (C, C), "linear_2.bias": (C,)}
    return Branch({name: torch.randn(shape, generator=g) for name, shape in shapes.items()}, nn.GELU())


def fixed_router(p: tuple[float, float]) -> nn.Linear:
    """Gates p for every token, in the order of the tasks' names."""
    router = nn.Linear(1, 2)
    with torch.no_grad():
        router.weight.zero_()
        router.bias.copy_(torch.tensor(p).log())
    return router


def moa(seed: int = 0, routing: Router | None = None, client: nn.Module | None = None) -> Stage2:
    torch.manual_seed(seed)
    foreign = {name: branch(i) for i, name in enumerate(["caption", "vqa"], 10)}
    cross = {name: branch(i) for i, name in enumerate(["caption", "vqa"], 20)}
    return Stage2("grounding", branch(1), foreign, cross, nn.Linear(V, 3), client, routing or Router())


def test_a_branch_is_linear_gelu_linear():
    psi, h = branch(0), torch.randn(3, V)
    z = h @ psi.linear_1.weight.T + psi.linear_1.bias
    z = 0.5 * z * (1 + torch.erf(z / 2**0.5))
    torch.testing.assert_close(psi(h), z @ psi.linear_2.weight.T + psi.linear_2.bias)


def test_a_branch_without_biases_is_possible():
    psi = Branch({"linear_1.weight": torch.eye(2), "linear_2.weight": torch.eye(2)}, nn.Identity())
    assert psi(torch.tensor([[1.0, 2.0]])).tolist() == [[1.0, 2.0]]
    assert set(psi.state_dict()) == {"linear_1.weight", "linear_2.weight"}


def test_stage_1_adds_both_adapters_and_leaves_both_for_the_difference_loss():
    task, client, H = branch(0), branch(1), torch.randn(2, 4, V)
    connector = Stage1(task, client)
    torch.testing.assert_close(connector(H), task(H) + client(H))
    trace = connector.take_trace()
    assert trace is not None
    torch.testing.assert_close(trace.task_BNC, task(H))
    torch.testing.assert_close(trace.client_BNC, client(H))


@pytest.mark.parametrize(("h", "expected"), [(1.0, 3.5), (2.0, 6.25)])
@pytest.mark.parametrize("local", ["a", "z"])
def test_stage_2_has_the_values_of_vector_t5_wherever_the_local_task_sorts(h, expected, local):
    router = fixed_router((0.25, 0.75) if local == "a" else (0.75, 0.25))
    psi_1, psi_2, psi_c = Line(2, 0), Line(1, 1), Line(2, 0)
    connector = Stage2(local, psi_1, {"m": psi_2}, {"m": psi_c}, router, None, Router())
    assert connector(torch.tensor([[[h]]])).item() == pytest.approx(expected)


def test_stage_2_equals_eq_6_token_by_token():
    connector, H = moa(client=branch(5)), torch.randn(2, 4, V)
    out = connector(H)
    for b in range(2):
        for n in range(4):
            h = H[b, n]
            p = (h @ connector.router.weight.T + connector.router.bias).softmax(0)
            x = p[1] * connector.task(h) + connector.client(h)
            for i, name in ((0, "caption"), (2, "vqa")):
                x = x + p[i] * (connector.foreign[name](h) + connector.cross[name](h))
            torch.testing.assert_close(out[b, n], x, rtol=1e-5, atol=1e-5)


def test_a_router_per_image_gives_all_its_tokens_the_gates_of_the_mean_token():
    connector, H = moa(routing=Router(per="image")), torch.randn(2, 4, V)
    z = connector.logits(H)
    assert z.shape == (2, 1, 3)
    torch.testing.assert_close(z[:, 0], H.mean(1) @ connector.router.weight.T + connector.router.bias)
    assert connector(H).shape == (2, 4, C)


def test_top_k_gates_keep_the_strongest_and_sum_to_one():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert gates(logits, 1).tolist() == [[1, 0, 0], [1, 0, 0]]
    two = gates(logits, 2)
    assert two.sum(-1).tolist() == pytest.approx([1.0, 1.0])
    assert two[0, 2] == 0
    assert (two[0, 0] / two[0, 1]).item() == pytest.approx(torch.e)
    torch.testing.assert_close(gates(logits, 3), logits.softmax(-1))


def test_one_task_alone_needs_no_router_to_speak_of():
    connector = Stage2("vqa", branch(1), {}, {}, nn.Linear(V, 1), None, Router())
    H = torch.randn(1, 2, V)
    torch.testing.assert_close(connector(H), connector.task(H))


def test_routing_stays_in_float32_under_autocast():
    connector, H = moa(), torch.randn(1, 3, V)
    exact = connector.logits(H)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        connector(H)
        trace = connector.take_trace()
    assert trace is not None
    assert trace.router_logits_BNT is not None
    assert torch.equal(trace.router_logits_BNT, exact)


@pytest.mark.parametrize("connector", [Stage1(branch(0), branch(1)), moa()])
def test_a_trace_can_be_taken_once_and_is_gone_for_the_next_batch(connector):
    connector(torch.randn(1, 2, V))
    assert connector.take_trace() is not None
    assert connector.take_trace() is None


def test_a_plain_connector_leaves_no_trace():
    connector, H = Plain(branch(0)), torch.randn(1, 2, V)
    torch.testing.assert_close(connector(H), connector.task(H))
    assert connector.take_trace() is None
