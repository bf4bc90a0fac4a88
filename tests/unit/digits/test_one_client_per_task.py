"""What docs/few-clients.md says that rules come to when every task has one client, exactly."""

import numpy as np
import pytest
import torch
from pilot_aggregator.merge.mixture import Member
from pilot_aggregator.merge.rules import RULES
from pilot_digits.profiles import profiles
from pilot_digits.samples import Sizes, draw_federation
from pilot_model.connector import Stage2
from pilot_model.parts import Sources
from pilot_proto.training import Connector
from pilot_trainer.initial import start_of_training
from torch import Tensor, nn

SAMPLES = {name: len(splits["train"]) for name, splits in draw_federation("digits-3", seed=0, sizes=Sizes()).items()}
MEMBERS = sorted((Member(p.client, p.task, SAMPLES[p.client]) for p in profiles("digits-3", 0)), key=lambda m: m.name)
DISTANCES = ((0.0, 3.0, 4.0), (3.0, 0.0, 5.0), (4.0, 5.0, 0.0))
IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
SHAPES = {"linear_1.weight": (7, 5), "linear_1.bias": (7,), "linear_2.weight": (7, 7), "linear_2.bias": (7,)}


def rows(rule: str, **options):
    return RULES[rule].mix(MEMBERS, DISTANCES, options).coefficients


def branch(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def start(settings: Connector, own_task: dict[str, Tensor], published: dict[str, Tensor]) -> dict[str, Tensor]:
    private = {
        f"{name}.{key}": t for name, part in (("task", own_task), ("client", branch(2))) for key, t in part.items()
    }
    tasks = {"vqa": published, "caption": branch(3), "grounding": branch(4)}
    sources = Sources(branch(0), published, tasks, private)
    connector = start_of_training("stage-2", "vqa", sources, settings, nn.GELU(), 3)
    assert isinstance(connector, Stage2)
    return connector.state_dict()


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("rule", ["per-task-mean", "same-task", "none"])
def test_averaging_within_a_task_gives_every_client_its_own_adapter_as_it_is(rule):
    assert rows(rule) == IDENTITY


def test_no_neighbours_is_no_merge_and_two_or_more_are_everybody():
    assert rows("nearest", neighbours=0) == IDENTITY
    assert rows("nearest", neighbours=2) == rows("nearest", neighbours=6) == rows("nearest")


def test_the_own_weight_is_the_share_of_samples_whatever_the_distances():
    total = sum(SAMPLES.values())
    own = [row[k] for k, row in enumerate(rows("nearest", neighbours=2))]

    assert own == pytest.approx([member.samples / total for member in MEMBERS])


def test_a_cap_of_one_half_weighs_the_two_neighbours_alike():
    for k, row in enumerate(rows("nearest", neighbours=2, weight_cap=0.5)):
        first, second = (weight for j, weight in enumerate(row) if j != k)
        assert first == pytest.approx(second)


def test_with_one_neighbour_a_client_can_compute_that_neighbours_adapter():
    adapters = np.random.default_rng(0).normal(size=(3, 8))
    (own, neighbour, nobody), received = rows("nearest", neighbours=1)[0], rows("nearest", neighbours=1) @ adapters

    assert nobody == 0.0
    np.testing.assert_allclose((received[0] - own * adapters[0]) / neighbour, adapters[1])


@pytest.mark.parametrize("settings", [{"own_init": "own"}, {"cross_init": "aggregated"}])
def test_where_stage_2_starts_is_one_question_when_what_is_published_is_the_clients_own(settings):
    own = branch(1)

    assert equal(start(Connector(), own, own), start(Connector(**settings), own, own))
    assert not equal(start(Connector(), own, branch(5)), start(Connector(**settings), own, branch(5)))
