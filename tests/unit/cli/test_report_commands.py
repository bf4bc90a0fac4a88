"""`pilot report` and `pilot compare`, called as a person calls them."""

import json

import pytest
import yaml
from pilot_cli.report.writing import atomically
from pilot_proto.registry import RejectionPage
from unit.aggregator.world import document


@pytest.fixture
def started(deployed, pilot, elsewhere):
    """Two runs that have not begun, and a registry that refused nothing."""
    for name, method in (("t", "pilot"), ("u", "fedavg")):
        file = elsewhere / f"{name}.yaml"
        file.write_text(yaml.safe_dump(document(name, method=method)))
        assert pilot("run", "-f", file).code == 0
        deployed.registry.tells(f"/rejections?run={name}&limit=200", RejectionPage(items=()))
    return deployed


def test_compare_sets_specs_and_metrics_side_by_side(started, pilot):
    told = pilot("compare", "t", "u")
    assert told.code == 0
    assert "merge.text.rule" in told.out
    assert "t beside u" in told.out
    assert "note: t is still Preparing" in told.out
    assert "MERGED - BEFORE" in told.out
    assert all(client in told.out for client in ("cap-1", "vqa-1", "vqa-2"))


def test_compare_prints_one_document(started, pilot):
    found = json.loads(pilot("compare", "t", "u", "-o", "json").out)
    assert [run["run"] for run in found["runs"]] == ["t", "u"]
    assert {"path": "method", "first": "pilot", "second": "fedavg"} in found["spec"]
    assert found == yaml.safe_load(pilot("compare", "t", "u", "-o", "yaml").out)


def test_comparing_a_run_with_itself_differs_in_nothing(started, pilot):
    assert "the specs are the same" in pilot("compare", "t", "t").out


def test_compare_works_for_a_viewer_without_scores(started, pilot, monkeypatch):
    monkeypatch.setenv("PILOT_TOKEN", "viewer")
    assert pilot("compare", "t", "u").code == 0


def test_report_writes_the_page_and_the_tables(started, pilot, elsewhere):
    told = pilot("report", "t", "run/u", "--out", "new/report.html", "--csv", "tables")
    assert told.code == 0, told.err
    page = (elsewhere / "new" / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<h1>t, u</h1>" in page
    assert sorted(f.name for f in (elsewhere / "tables").iterdir()) == [
        "merge.csv",
        "metrics.csv",
        "participation.csv",
    ]
    assert "new/report.html" in told.out


def test_a_viewer_gets_a_report_that_says_what_is_missing(started, pilot, monkeypatch, elsewhere):
    monkeypatch.setenv("PILOT_TOKEN", "viewer")
    started.registry.answers.clear()
    refusal = b'{"type":"x","title":"Forbidden","status":403,"code":"forbidden","detail":"no"}'
    started.registry.tells("/rejections?run=t&limit=200", refusal, status=403)
    assert pilot("report", "t", "--out", "r.html").code == 0
    assert "shown to an operator's key" in (elsewhere / "r.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["t"], 2, "name --out FILE, --csv FOLDER or --mlflow URI"),
        (["nobody", "--out", "r.html"], 3, "there is no run 'nobody'"),
        (["t", "--out", "."], 2, ". is a folder"),
        (["t", "--out", "t.yaml/r.html"], 2, "cannot be written"),
        (["t", "--csv", "t.yaml"], 2, "cannot be written"),
        (["t", "--mlflow", "file:store"], 1, "pip install 'pilot-cli[mlflow]'"),
        ([], 2, "Missing argument"),
    ],
)
def test_a_report_that_cannot_be_says_why_and_what_next(started, pilot, elsewhere, arguments, code, said):
    before = sorted(elsewhere.rglob("*"))
    told = pilot("report", *arguments)
    assert (told.code, said in told.err) == (code, True), told.err
    assert sorted(elsewhere.rglob("*")) == before


def half_written(file):
    with atomically(file) as stream:
        stream.write("new, but")
        raise RuntimeError("half way")


def test_a_file_that_was_there_stays_whole_when_writing_fails(elsewhere):
    file = elsewhere / "report.html"
    file.write_text("old")
    with pytest.raises(RuntimeError, match="half way"):
        half_written(file)
    assert [f.read_text() for f in elsewhere.iterdir()] == ["old"]
