"""A client's distance to its task's mean, from a plan."""

from math import sqrt

import pytest
from pilot_proto.plan import Distances, KindPlan, PlanInput
from pilot_proto.run import Rule
from pilot_reports.task_distance import MEANS, to_task_mean

TASKS = {"cap-1": "caption", "vqa-1": "vqa", "vqa-2": "vqa", "vqa-3": "vqa"}
FAR = 100.0


def plan(metric="euclidean", distances=True):
    inputs = tuple(
        PlanInput(
            client=c, task=t, repo=f"r/client-{c}-update", commit="a" * 40, digest="sha256:" + "b" * 64, num_examples=1
        )
        for c, t in TASKS.items()
    )
    matrix = ((0, FAR, FAR, FAR), (FAR, 0, 3, 4), (FAR, 3, 0, 5), (FAR, 4, 5, 0))
    found = Distances(metric=metric, matrix=matrix) if distances else None
    return KindPlan(kind="text", rule=Rule(rule="nearest"), inputs=inputs, outputs=(), distances=found)


@pytest.mark.parametrize("metric", MEANS)
def test_only_the_clients_of_the_same_task_count(metric):
    assert to_task_mean(plan(metric), "vqa-1") == pytest.approx(5 / 3)
    assert to_task_mean(plan(metric), "vqa-2") == pytest.approx(sqrt(4 + 16 / 9))


def test_a_client_alone_with_its_task_has_no_mean_to_be_far_from():
    assert to_task_mean(plan(), "cap-1") is None


def test_without_distances_or_without_the_client_nothing_is_told():
    assert to_task_mean(plan(distances=False), "vqa-1") is None
    assert to_task_mean(plan(), "vqa-9") is None


def test_a_metric_of_which_nobody_knows_that_it_is_euclidean_has_no_mean():
    assert to_task_mean(plan("cosine"), "vqa-1") is None
