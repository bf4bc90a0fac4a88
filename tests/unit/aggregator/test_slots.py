"""Which published adapter is whose."""

import pytest
from pilot_aggregator.rounds import slots
from unit.aggregator.world import adapter

BASE = adapter("t/base-text")
EVERYBODY = adapter("t/global-text")
TASK = adapter("t/task-vqa-text")
OWN = adapter("t/client-vqa-1-text")


@pytest.mark.parametrize(
    ("published", "received"),
    [
        ({"text/base": BASE}, BASE),
        ({"text/base": BASE, "text/global": EVERYBODY}, EVERYBODY),
        ({"text/base": BASE, "text/global": EVERYBODY, "text/task/vqa": TASK}, TASK),
        ({"text/base": BASE, "text/task/vqa": TASK, "text/client/vqa-1": OWN}, OWN),
        ({"text/base": BASE, "text/task/caption": TASK, "text/client/vqa-2": OWN}, BASE),
        ({"text/base": BASE, "connector/client/vqa-1": OWN}, BASE),
    ],
)
def test_a_client_takes_the_most_personal_adapter_that_is_published(published, received):
    assert slots.for_client(published, "text", "vqa-1", "vqa") is received


@pytest.mark.parametrize(
    ("published", "received"),
    [
        ({"text/base": BASE}, BASE),
        ({"text/base": BASE, "text/global": EVERYBODY}, EVERYBODY),
        ({"text/base": BASE, "text/global": EVERYBODY, "text/task/vqa": TASK}, TASK),
        ({"text/base": BASE, "text/client/vqa-1": OWN}, BASE),
    ],
)
def test_a_task_is_never_stood_for_by_one_client(published, received):
    assert slots.for_task(published, "text", "vqa") is received


@pytest.mark.parametrize(
    ("slot", "repo"),
    [
        (slots.base_slot("text"), "t/base-text"),
        (slots.global_slot("connector"), "t/global-connector"),
        (slots.task_slot("connector", "vqa"), "t/task-vqa-connector"),
        (slots.client_slot("text", "vqa-1"), "t/client-vqa-1-text"),
    ],
)
def test_every_slot_is_published_in_a_repository_of_its_own(slot, repo):
    assert slots.repo_of("t", slot) == repo
