"""SIGKILL the aggregator, the registry, a trainer or the merge at every boundary of a round: the same bytes come out.

All cases of a victim share one deployment; each is a run of its own. What a run publishes must equal what an
undisturbed run published, with every update counted once.
"""

import os
import signal

import pytest
from deployments import Harness, harness, outcome, run_document
from pilot_proto.boundaries import Boundary as B

pytestmark = pytest.mark.slow

IN_AGGREGATOR = [B.INTENT_STORED, B.JOB_STARTED, B.SEALED, B.PLAN_STORED, B.MERGED, B.PUBLISHED]
IN_TRAINER = [B.INPUTS_FETCHED, B.RESULT_RENAMED, B.ONE_PART_SENT, B.ONE_FILE_PUT, B.COMMITTED, B.REPORTED]
IN_MERGE = [B.MERGE_HALF_WRITTEN]

CASES = [("aggregator", b) for b in B] + [("registry", b) for b in B]
# After the seal no trainer is at work; at the merge, the process that stands there is the merge itself.
CASES += [("trainer", b) for b in [B.JOB_STARTED, *IN_TRAINER]] + [("merge", b) for b in IN_MERGE]


def test_every_boundary_has_its_place():
    assert set(IN_AGGREGATOR + IN_TRAINER + IN_MERGE) == set(B)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    with harness(tmp_path_factory.mktemp("kills") / "d") as made:
        yield made


@pytest.fixture(scope="module")
def undisturbed(deployed):
    start(deployed, "undisturbed")
    deployed.aggregator.trigger("undisturbed", "end")
    assert deployed.wait("undisturbed").status.phase == "Succeeded", deployed.logs()
    return outcome(deployed, "undisturbed")


def start(deployed: Harness, name: str) -> None:
    """Bring a run to where its first training round may start."""
    document = run_document(name, advance="manual", method="fedavg", evaluation={"samples": 0})
    deployed.aggregator.create_run(document)
    deployed.eventually(lambda: deployed.aggregator.run(name).status.published == 0)


@pytest.mark.parametrize(("victim", "boundary"), CASES)
def test_killed_anywhere_a_run_publishes_the_same(deployed, undisturbed, victim, boundary):
    name = f"{victim[:4]}-{boundary}"
    start(deployed, name)
    deployed.arm(boundary)
    deployed.aggregator.trigger(name, "end")
    pid = deployed.eventually(lambda: deployed.stopped_at(boundary))
    if victim in ("aggregator", "registry"):
        deployed.kill(victim)
        deployed.restart(victim)
    elif boundary in IN_AGGREGATOR:
        assert deployed.eventually(deployed.kill_a_trainer)
    else:
        os.kill(pid, signal.SIGKILL)
    deployed.release(boundary)
    run = deployed.wait(name)
    assert run.status.phase == "Succeeded", deployed.logs()
    assert outcome(deployed, name) == undisturbed
