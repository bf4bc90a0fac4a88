"""Where adapters start, and vector T16: an exact copy never separates, the default start does."""

import math
import warnings

import pytest
import torch
from pilot_model.assembly import as_published, as_saved
from pilot_model.connector import Plain, Stage1, Stage2, Tensors
from pilot_model.errors import DoesNotFit
from pilot_model.parts import Sources, under
from pilot_proto.training import ClientAdapter, Connector, DifferenceForm, Router
from pilot_trainer import losses
from pilot_trainer.errors import BadAssignment, SymmetricStart
from pilot_trainer.initial import client_start, router_start, start_of_training, started
from pilot_trainer.movement import adapter_of
from torch import Tensor, nn

V, C = 5, 7
TASKS = ("caption", "grounding", "vqa")
ACT = nn.GELU()


def tensors(seed: int) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    shapes = {"linear_1.weight": (C, V), "linear_1.bias": (C,), "linear_2.weight": (C, C), "linear_2.bias": (C,)}
    return {name: torch.randn(shape, generator=g) for name, shape in shapes.items()}


def named(prefix: str, branch: Tensors) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": t for name, t in branch.items()}


def after_stage_1(own_task: int = 31, client: int = 32) -> dict[str, Tensor]:
    return {**named("task", tensors(own_task)), **named("client", tensors(client))}


def stage_2_sources(private: Tensors | None = None) -> Sources:
    published = {name: tensors(20 + i) for i, name in enumerate(TASKS)}
    return Sources(tensors(0), published["vqa"], published, after_stage_1() if private is None else private)


def start_2(settings: Connector | None = None, sources: Sources | None = None) -> Stage2:
    found = start_of_training("stage-2", "vqa", sources or stage_2_sources(), settings or Connector(), ACT, 3)
    assert isinstance(found, Stage2)
    return found


def same(module: nn.Module, expected: Tensors) -> bool:
    return all(torch.equal(t, expected[name]) for name, t in module.state_dict().items())


def fit(connector: Stage1, steps: int, rate: float) -> Tensor:
    """Fit noise with the difference loss at weight 0.1; returns the last L_d (a sum, as in T16)."""
    g = torch.Generator().manual_seed(7)
    H, target = torch.randn(1, 11, V, generator=g), torch.randn(1, 11, C, generator=g)
    optimiser = torch.optim.AdamW(connector.parameters(), lr=rate, weight_decay=0.0)
    for _ in range(steps):
        error = (connector(H) - target).square().mean()
        trace = connector.take_trace()
        assert trace is not None
        L_d = losses.difference(trace.task_BNC, trace.client_BNC, DifferenceForm(reduction="sum"))
        optimiser.zero_grad()
        (error + 0.1 * L_d).backward()
        optimiser.step()
    return L_d.detach()


def gap(connector: Stage1) -> float:
    pairs = zip(connector.task.parameters(), connector.client.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def stage_1(adapter: ClientAdapter) -> Stage1:
    sources = Sources(tensors(0), tensors(0), {}, {})
    found = start_of_training("stage-1", "vqa", sources, Connector(client_adapter=adapter), ACT, seed=1)
    assert isinstance(found, Stage1)
    return found


def test_an_exact_copy_stays_a_copy_for_ever_and_warns():
    with pytest.warns(SymmetricStart, match="never separate"):
        connector = stage_1(ClientAdapter(jitter=0.0))
    L_d = fit(connector, 50, 1e-2)
    assert gap(connector) == 0.0
    assert L_d > 1.0


def test_the_default_start_separates_and_the_difference_loss_falls():
    connector = stage_1(ClientAdapter())
    assert gap(connector) < 0.02
    L_d = fit(connector, 200, 1e-2)
    assert gap(connector) > 0.5
    assert L_d < 1.0


def test_jitter_is_relative_to_the_spread_of_each_tensor():
    psi_0 = tensors(0)
    start = client_start(psi_0, ClientAdapter(jitter=1e-3), torch.Generator().manual_seed(0))
    for name, tensor in psi_0.items():
        spread = (start[name] - tensor).std() / tensor.std()
        assert 2e-4 < spread < 3e-3


def test_the_start_of_the_client_adapter_can_be_random_or_silent_and_depends_on_the_seed_only():
    psi_0 = tensors(0)

    def start(init: str, seed: int) -> dict[str, Tensor]:
        return client_start(psi_0, ClientAdapter(init=init), torch.Generator().manual_seed(seed))

    random = start("random", 1)
    assert all(t.abs().max() <= 1 / math.sqrt(V if "1" in name else C) for name, t in random.items())
    assert not torch.equal(random["linear_1.weight"], start("random", 2)["linear_1.weight"])
    assert torch.equal(random["linear_1.weight"], start("random", 1)["linear_1.weight"])
    silent = start("zero-output", 1)
    assert silent["linear_2.weight"].count_nonzero() == silent["linear_2.bias"].count_nonzero() == 0
    assert torch.equal(silent["linear_1.weight"], psi_0["linear_1.weight"])


def test_the_first_image_token_is_twice_psi_0_or_psi_0_itself_when_halved():
    H = torch.randn(1, 3, V)
    psi_0 = Plain(stage_1(ClientAdapter(jitter=1e-9)).task)(H)
    doubled, once = stage_1(ClientAdapter(jitter=1e-9)), stage_1(ClientAdapter(jitter=1e-9, scale="halve"))
    torch.testing.assert_close(doubled(H), 2 * psi_0)
    torch.testing.assert_close(once(H), psi_0)


def test_a_trained_task_adapter_is_not_halved_again():
    sources = Sources(tensors(0), tensors(9), {}, {})
    adapter = Connector(client_adapter=ClientAdapter(scale="halve"))
    connector = start_of_training("stage-1", "vqa", sources, adapter, ACT, 0)
    assert same(connector.task, tensors(9))


def test_a_second_stage_1_keeps_the_private_client_adapter():
    sources = Sources(tensors(0), tensors(9), {}, after_stage_1())
    connector = start_of_training("stage-1", "vqa", sources, Connector(), ACT, 0)
    assert same(connector.client, tensors(32))


def test_without_a_client_adapter_stage_1_has_one_branch():
    settings = Connector(client_adapter=ClientAdapter(init="none"))
    connector = start_of_training("stage-1", "vqa", Sources(tensors(0), tensors(9), {}, {}), settings, ACT, 0)
    assert isinstance(connector, Plain)
    assert same(connector.task, tensors(9))


def test_stage_2_starts_as_the_paper_has_it():
    connector = start_2()
    assert connector.tasks == TASKS
    assert same(connector.task, tensors(22))
    assert same(connector.client, tensors(32))
    for i, name in enumerate(TASKS[:2]):
        assert same(connector.foreign[name], tensors(20 + i))
        assert same(connector.cross[name], tensors(31))
    trained = {adapter_of(f"multi_modal_projector.{n}") for n, p in connector.named_parameters() if p.requires_grad}
    assert trained == {"task", "cross.caption", "cross.grounding", "router"}


@pytest.mark.parametrize(
    ("settings", "adapter", "expected"),
    [
        (Connector(own_init="own"), "task", 31),
        (Connector(cross_init="aggregated"), "cross.caption", 22),
        (Connector(), "cross.caption", 31),
    ],
)
def test_adapters_start_where_the_setting_says(settings, adapter, expected):
    assert same(start_2(settings).get_submodule(adapter), tensors(expected))


def test_the_client_adapter_can_be_trained_or_dropped_in_stage_2():
    trained = start_2(Connector(client_adapter=ClientAdapter(in_stage_2="add-trained")))
    assert all(p.requires_grad for p in trained.client.parameters())
    frozen = start_2()
    assert not any(p.requires_grad for p in frozen.client.parameters())
    assert start_2(Connector(client_adapter=ClientAdapter(in_stage_2="drop"))).client is None


def after_stage_2() -> dict[str, Tensor]:
    connector = start_2()
    with torch.no_grad():
        for p in connector.parameters():
            p.add_(1.0)
    return {name: t.clone() for name, t in connector.state_dict().items()}


def test_cross_adapters_and_router_are_kept_across_rounds_or_start_again():
    private = after_stage_2()
    kept = start_2(sources=stage_2_sources(private))
    assert same(kept.cross["caption"], under("cross.caption", private))
    assert torch.equal(kept.router.weight, private["router.weight"])
    fresh = start_2(Connector(cross_life="fresh", router=Router(life="fresh")), stage_2_sources(private))
    assert same(fresh.cross["caption"], under("task", private))
    assert torch.equal(fresh.router.weight, start_2().router.weight)


def test_a_task_that_joins_late_gets_a_fresh_row_and_the_others_keep_theirs():
    private = after_stage_2()
    sources = stage_2_sources(private)
    wider = Sources(sources.psi_0, sources.own, {**sources.tasks, "ocr": tensors(40)}, private)
    connector = start_2(sources=wider)
    assert connector.tasks == ("caption", "grounding", "ocr", "vqa")
    assert torch.equal(connector.router.weight[[0, 1, 3]], private["router.weight"])
    assert same(connector.cross["ocr"], under("task", private))


def test_a_task_that_left_takes_its_row_and_its_adapters_with_it():
    private = after_stage_2()
    sources = stage_2_sources(private)
    fewer = {name: t for name, t in sources.tasks.items() if name != "caption"}
    connector = start_2(sources=Sources(sources.psi_0, sources.own, fewer, private))
    assert connector.tasks == ("grounding", "vqa")
    assert torch.equal(connector.router.weight, private["router.weight"][[1, 2]])
    assert same(connector.cross["grounding"], under("cross.grounding", private))


def test_what_has_no_predecessor_is_named():
    def of_stage_2(private: Tensors, tasks: Tensors, settings: Connector = Connector()) -> tuple[str, ...]:
        sources = Sources(tensors(0), tensors(1), tasks, private)
        return started(start_2(settings, sources), sources, settings)

    three = stage_2_sources().tasks
    four = {**three, "ocr": tensors(40)}
    everything = ("cross.caption", "cross.grounding", "router.caption", "router.grounding", "router.vqa")
    assert of_stage_2(after_stage_1(), three) == everything
    assert of_stage_2(after_stage_2(), three) == ()
    assert of_stage_2(after_stage_2(), four) == ("cross.ocr", "router.ocr")
    assert of_stage_2(after_stage_2(), three, Connector(router=Router(life="fresh"))) == everything[2:]
    first = Sources(tensors(0), tensors(0), {}, {})
    assert started(start_of_training("stage-1", "vqa", first, Connector(), ACT, 1), first, Connector()) == ("client",)
    assert started(start_of_training("plain", "vqa", first, Connector(), ACT, 1), first, Connector()) == ()


@pytest.mark.parametrize("init", ["normal", "zeros", "local"])
def test_the_router_starts_small_silent_or_with_half_the_gate_on_the_local_task(init):
    router = router_start(list(TASKS), "vqa", 400, Router(init=init, init_std=0.02), torch.Generator().manual_seed(0))
    spread = router.weight.std().item()
    assert spread == 0 if init == "zeros" else 0.018 < spread < 0.022
    p = router.bias.softmax(0).tolist()
    assert p == pytest.approx([0.25, 0.25, 0.5] if init == "local" else [1 / 3] * 3)


def test_stage_2_without_a_stage_1_is_a_bad_assignment():
    with pytest.raises(BadAssignment, match="stage-1"):
        start_2(sources=stage_2_sources({}))


def test_stage_2_without_the_own_task_is_a_bad_assignment():
    sources = Sources(tensors(0), tensors(1), {"caption": tensors(2)}, after_stage_1())
    with pytest.raises(BadAssignment, match="'vqa'"):
        start_2(sources=sources)


def test_merged_is_the_published_adapters_with_the_private_parts_of_the_update_before():
    H = torch.randn(2, 3, V)
    base = as_published(None, "vqa", Sources(tensors(0), tensors(9), {}, {}), Connector(), ACT)
    assert isinstance(base, Plain)
    assert same(base.task, tensors(9))
    first = as_published("stage-1", "vqa", Sources(tensors(0), tensors(9), {}, after_stage_1()), Connector(), ACT)
    assert same(first.task, tensors(9))
    assert same(first.client, tensors(32))
    private = after_stage_2()
    second = as_published("stage-2", "vqa", stage_2_sources(private), Connector(), ACT)
    assert same(second.task, tensors(22))
    assert same(second.foreign["caption"], tensors(20))
    assert same(second.cross["caption"], under("cross.caption", private))
    unpublished = as_saved("stage-2", "vqa", private, Connector(), ACT)
    assert not torch.allclose(second(H), unpublished(H))


def test_merged_needs_the_adapters_by_task_where_the_private_state_mixes_them():
    with pytest.raises(DoesNotFit, match="vqa"):
        as_published("stage-2", "vqa", Sources(tensors(0), tensors(9), {}, after_stage_2()), Connector(), ACT)


def test_merged_leaves_out_the_tasks_that_the_run_no_longer_has():
    private = after_stage_2()
    published = {"grounding": tensors(21), "vqa": tensors(22)}
    found = as_published("stage-2", "vqa", Sources(tensors(0), tensors(9), published, private), Connector(), ACT)
    assert found.tasks == ("grounding", "vqa")
    assert torch.equal(found.router.weight, private["router.weight"][[1, 2]])
    assert torch.equal(found.router.bias, private["router.bias"][[1, 2]])
    assert same(found.cross["grounding"], under("cross.grounding", private))


@pytest.mark.parametrize("program", ["plain", "stage-1", "stage-2"])
def test_a_saved_connector_computes_what_the_trained_one_did(program):
    with warnings.catch_warnings(action="error"):
        sources = Sources(tensors(0), tensors(1), {}, {}) if program != "stage-2" else stage_2_sources()
        connector = start_of_training(program, "vqa", sources, Connector(), ACT, 5)
    H = torch.randn(2, 3, V)
    again = as_saved(program, "vqa", connector.state_dict(), Connector(), ACT)
    assert torch.equal(connector(H), again(H))


def test_evaluate_is_no_training_program():
    with pytest.raises(BadAssignment, match="evaluate"):
        start_of_training("evaluate", "vqa", stage_2_sources(), Connector(), ACT, 0)
