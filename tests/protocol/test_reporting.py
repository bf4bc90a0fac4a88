"""`pilot report` and `pilot compare` on runs that went wrong in places, over the real services."""

import csv
import json

import pytest
from deployments import harness, run_document
from pilot_cli.compare import compare
from pilot_cli.output import Format
from pilot_cli.report.command import report

PARTICIPATION = {"quorum": "50%", "grace_s": 1, "start_deadline_s": 60, "stall_s": 60, "deadline_s": 60, "attempts": 1}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    """A run of two stages with a refused upload and a client that gives up, and the same clients alone."""
    with harness(tmp_path_factory.mktemp("reporting") / "d") as made:
        made.faults(cap_2={"poison": {"2": "nan"}}, vqa_2={"exit": {"1": 65}})
        rounds = ["stage-1", "stage-2"]
        together = run_document("together", method="pilot", rounds=rounds, participation=PARTICIPATION)
        assert made.run(together).status.phase == "Succeeded", made.logs()
        made.faults()
        assert made.run(run_document("alone", method="local", rounds=["plain"])).status.phase == "Succeeded", (
            made.logs()
        )
        yield made


@pytest.fixture
def here(deployed, tmp_path, monkeypatch):
    monkeypatch.setenv("PILOT_URL", deployed.deployment.aggregator_url)
    monkeypatch.setenv("PILOT_REGISTRY_URL", deployed.deployment.registry_url)
    monkeypatch.setenv("PILOT_TOKEN_FILE", str(deployed.deployment.keys / "operator.key"))
    return tmp_path


def test_the_page_tells_who_was_refused_who_gave_up_and_what_it_gained(here):
    report(["together", "alone"], out=here / "report.html")
    page = (here / "report.html").read_text()
    assert "left out: non_finite" in page
    assert "left out: Failed" in page
    assert "Uploads that the registry refused in together" in page
    assert "Gain of together over alone, by client" in page
    assert "Round 2, text: distances between uploads (euclidean)" in page
    report(["together", "alone"], out=here / "again.html")
    assert (here / "again.html").read_text() == page


def test_the_tables_hold_what_went_over_the_line(here):
    report(["together"], csv=here)
    with (here / "participation.csv").open() as stream:
        lines = {(line["round"], line["client"]): line for line in csv.DictReader(stream)}
    assert lines["1", "vqa-2"]["uploaded_bytes"] == ""
    counted = lines["2", "vqa-1"]
    assert int(counted["uploaded_bytes"]) > 0
    # Its own two adapters and that of the other task.
    assert int(counted["downloaded_bytes"]) > int(lines["1", "vqa-1"]["downloaded_bytes"])


def test_two_runs_are_compared_with_an_interval_from_their_samples(here, capsys):
    compare("alone", "together", output=Format.JSON)
    found = json.loads(capsys.readouterr().out)
    assert found["not_comparable"] == []
    assert "partial" in {note["code"] for note in found["notes"]}
    caption = next(task for task in found["tasks"] if task["task"] == "caption")
    assert caption["interval"][0] <= caption["merged"]["difference"] <= caption["interval"][1]
