"""The kill test once more, with real training on digit scenes: killed three times, the run publishes the same bytes."""

import os
import signal

import pytest
import yaml
from deployments import Harness, harness, outcome
from pilot_digits.federation import write_federation
from pilot_digits.samples import Sizes
from pilot_proto.boundaries import Boundary

pytestmark = [pytest.mark.xdist_group("real-training"), pytest.mark.training]

CLIENTS = ["caption-1", "grounding-1", "vqa-1"]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    federation = write_federation("digits", folder / "digits", sizes=Sizes(train=24, val=8, test=8))
    with harness(folder / "d", federation=federation, entry="pilot_trainer.program:run", jobs=2) as made:
        yield made


def start(deployed: Harness, name: str) -> None:
    document = yaml.safe_load((deployed.deployment.federation.parent / "run.yaml").read_text())
    document["metadata"]["name"] = name
    spec = document["spec"]
    spec |= {"clients": CLIENTS, "rounds": ["stage-1", "stage-2"], "advance": "manual", "evaluation": {"samples": 4}}
    spec["training"] |= {"num_train_epochs": 2, "checkpoint_every_s": 1}
    deployed.aggregator.create_run(document)
    deployed.eventually(lambda: deployed.aggregator.run(name).status.published == 0)


def finish(deployed: Harness, name: str):
    run = deployed.wait(name)
    assert run.status.phase == "Succeeded", deployed.logs()
    return outcome(deployed, name)


def test_real_training_killed_in_the_middle_publishes_what_it_would_have_published(deployed):
    start(deployed, "undisturbed")
    deployed.aggregator.trigger("undisturbed", "end")
    expected = finish(deployed, "undisturbed")

    start(deployed, "killed")
    deployed.arm(Boundary.INPUTS_FETCHED)
    deployed.aggregator.trigger("killed", 1)
    trainer = deployed.eventually(lambda: deployed.stopped_at(Boundary.INPUTS_FETCHED))
    os.kill(trainer, signal.SIGKILL)
    deployed.release(Boundary.INPUTS_FETCHED)
    deployed.arm(Boundary.MERGED)
    deployed.eventually(lambda: deployed.stopped_at(Boundary.MERGED))
    deployed.kill("aggregator")
    deployed.kill("registry")
    deployed.release(Boundary.MERGED)
    deployed.restart("registry")
    deployed.restart("aggregator")
    deployed.eventually(lambda: deployed.aggregator.run("killed").status.published == 1)
    deployed.arm(Boundary.RESULT_RENAMED)
    deployed.aggregator.trigger("killed", "end")
    trainer = deployed.eventually(lambda: deployed.stopped_at(Boundary.RESULT_RENAMED))
    os.kill(trainer, signal.SIGKILL)
    deployed.release(Boundary.RESULT_RENAMED)
    assert finish(deployed, "killed") == expected
