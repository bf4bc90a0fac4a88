"""What the local updates of a run were: what clients told, and the bytes that went over the line."""

from dataclasses import replace

import pytest
from pilot_aggregator.rounds.local_updates import local_updates
from pilot_proto.assignment import Assignment, Inputs
from pilot_proto.canonical import canonical_bytes
from pilot_proto.update import LossSummary
from unit.aggregator.service import app_over, call, service_in
from unit.aggregator.world import (
    CLIENTS,
    MODEL,
    NOW,
    adapter,
    base_slots,
    document,
    history,
    open_round,
    published_of,
    said_of,
    sealed_of,
)


@pytest.fixture
def service(tmp_path):
    """A run whose round 1 is sealed and read."""
    made = service_in(tmp_path)
    assert call(app_over(made), "operator", "POST", "/runs", json=document()).status_code == 201
    run = made.store.run("t")
    open_round(made.store, run, 0)
    made.store.adopt_publication(run.uid, 0, published_of(0, []), base_slots(), {}, MODEL, NOW)
    open_round(made.store, run, 1, history())
    made.store.store_step(run.uid, 1, NOW, "RoundSealed", "", sealed=sealed_of(CLIENTS))
    told = {name: update(name, task) for name, task in CLIENTS.items()}
    made.store.store_step(run.uid, 1, NOW, "UpdatesRead", "", updates=told, measured={})
    return made


def update(client, task):
    return said_of(
        client,
        task,
        num_examples=7,
        truncated=2,
        steps=3,
        losses={"total": LossSummary(first=2.0, last=1.0, mean=1.5)},
        router={"vqa": 1.0},
    )


def test_an_operator_reads_what_each_client_told_and_how_much_it_sent_and_fetched(service):
    items = call(app_over(service), "operator", "GET", "/runs/t/updates").json()["items"]
    assert [(item["round"], item["client"]) for item in items] == [(1, name) for name in sorted(CLIENTS)]
    first = items[0]
    assert first["losses"] == {"total": {"first": 2.0, "last": 1.0, "mean": 1.5}}
    assert (first["steps"], first["truncated"], first["num_examples"], first["router"]) == (3, 2, 7, {"vqa": 1.0})
    # update.json of 5, and of each kind 100 of tensors and 10 of configuration; fetched are the two base adapters.
    assert (first["uploaded_bytes"], first["downloaded_bytes"]) == (225, 220)


def test_a_viewer_does_not_read_losses(service):
    assert call(app_over(service), "viewer", "GET", "/runs/t/updates").status_code == 403


def test_an_adapter_that_is_handed_out_twice_is_fetched_once(service):
    round = service.store.round(service.store.run("t").uid, 1)
    own = adapter("t/task-vqa-connector")
    inputs = Inputs(
        text=adapter("t/a-text"), connector=own, task_connectors={"vqa": own, "caption": adapter("t/c-connector")}
    )
    stored = service.store.assignment(round.uid, 1, "vqa-1")
    handed = Assignment.read(stored.body).model_copy(update={"inputs": inputs})
    alone = replace(round, updates={"vqa-1": round.updates["vqa-1"]})
    (found,) = local_updates(alone, {"vqa-1": replace(stored, body=canonical_bytes(handed)).inputs})
    assert found.downloaded_bytes == 330


def test_a_round_that_is_not_read_yet_has_none(service):
    round = service.store.round(service.store.run("t").uid, 0)
    assert local_updates(round, {}) == []
