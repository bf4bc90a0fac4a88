"""Whole runs over the real services with the stand-in trainer."""

import pytest
from deployments import harness, run_document


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    with harness(tmp_path_factory.mktemp("rounds") / "d") as made:
        yield made


def test_a_run_prepares_trains_merges_evaluates_and_succeeds(deployed):
    run = deployed.run(run_document("plain"))
    assert run.status.phase == "Succeeded", deployed.logs()
    rounds = deployed.aggregator.rounds("plain")
    assert [r.program for r in rounds] == ["prepare", "plain", "plain", "evaluate"]
    assert set(rounds[2].outputs) == {"plain/global-text", "plain/global-connector"}
    assert all(entry.counted for entry in rounds[2].ledger.entries)
