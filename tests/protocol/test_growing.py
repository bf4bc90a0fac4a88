"""Real training that goes on: a client with a new task joins two that have mixed before, and later a task leaves."""

import pytest
import yaml
from deployments import harness
from pilot_digits.federation import write_federation
from pilot_digits.samples import Sizes

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("growing")
    federation = write_federation("digits", folder / "digits", sizes=Sizes(train=24, val=8, test=8))
    with harness(folder / "d", federation=federation, entry="pilot_trainer.program:run", jobs=2) as made:
        yield made


def run(deployed, name, clients, rounds, **spec):
    document = yaml.safe_load((deployed.deployment.federation.parent / "run.yaml").read_text())
    document["metadata"]["name"] = name
    document["spec"] |= {"clients": clients, "rounds": rounds, "evaluation": {"samples": 4}, **spec}
    document["spec"]["training"] |= {"num_train_epochs": 1}
    ended = deployed.run(document)
    assert ended.status.phase == "Succeeded", deployed.logs()
    assert ended.status.conditions == ()
    return ended


def measured(deployed, name, client, point, number):
    rounds = deployed.aggregator.rounds(name)
    found = [e for r in rounds for e in r.evaluations.get(client, ()) if (e["point"], e["round"]) == (point, number)]
    return found[0]["value"]


def test_a_task_that_joins_is_learned_beside_what_was_kept_and_one_that_leaves_is_left_out(deployed):
    run(deployed, "two", ["caption-1", "vqa-1"], ["stage-1", "stage-2"])
    begun = {"start_from": {"run": "two", "round": 2}}
    grown = run(deployed, "three", ["caption-1", "grounding-1", "vqa-1"], ["stage-2"], **begun)
    new = ("cross.grounding", "router.grounding")
    assert grown.status.started == {"caption-1": new, "grounding-1": ("client",), "vqa-1": new}
    # What the second run measures first is the model that the first one measured last, bit for bit.
    for client in ("caption-1", "vqa-1"):
        assert measured(deployed, "three", client, "merged", 0) == measured(deployed, "two", client, "merged", 2)

    begun = {"start_from": {"run": "three", "round": 1}}
    left = run(deployed, "without", ["grounding-1", "vqa-1"], ["stage-2"], **begun)
    assert left.status.started == {"grounding-1": ("cross.vqa", "router.grounding", "router.vqa")}
