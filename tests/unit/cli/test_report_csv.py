"""The report as CSV: one observation per line, and nothing that a spreadsheet would calculate."""

import csv

import pytest
from pilot_cli.report import csv_files
from pilot_reports import csv_lines, tidy
from unit.reports.histories import CLIENTS, DISTANCE, history


def read(file):
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def files(tmp_path):
    made = csv_files.write([history("p", lost=("vqa-2",)), history("l", "local", updates=None)], tmp_path / "new" / "d")
    return {file.name: read(file) for file in made}


def test_there_are_three_tables_with_the_columns_that_are_documented(tmp_path):
    made = csv_files.write([history()], tmp_path)
    heads = {file.name: tuple(file.read_text().splitlines()[0].split(",")) for file in made}
    expected = {"metrics.csv": tidy.METRICS, "merge.csv": tidy.MERGE, "participation.csv": tidy.PARTICIPATION}
    assert heads == expected


def test_every_measured_value_is_one_line(files):
    lines = [line for line in files["metrics.csv"] if line["run"] == "p" and line["client"] == "vqa-1"]
    assert [(line["round"], line["point"], float(line["value"])) for line in lines] == [
        ("1", "local", 0.2),
        ("2", "local", 0.4),
        ("3", "local", pytest.approx(0.6)),
        ("0", "merged", 0.25),
        ("1", "merged", 0.5),
        ("2", "merged", 0.75),
    ]
    first = lines[0]
    assert (first["method"], first["seed"], first["task"], first["metric"]) == ("pilot", "0", "vqa", "exact-match")
    assert (first["split"], first["samples"]) == ("test", "8")


def test_every_coefficient_is_one_line_with_the_distance_that_led_to_it(files):
    (line,) = [
        line
        for line in files["merge.csv"]
        if (line["run"], line["round"], line["receiver"], line["contributor"]) == ("p", "1", "vqa-1", "vqa-2")
    ]
    assert (line["kind"], float(line["coefficient"]), float(line["distance"])) == ("text", 0.25, DISTANCE)
    assert len([line for line in files["merge.csv"] if line["run"] == "p"]) == 2 * len(CLIENTS) ** 2


def test_every_client_of_every_round_is_one_line_with_its_part(files):
    lines = {(line["run"], line["round"], line["client"]): line for line in files["participation.csv"]}
    assert len(lines) == 2 * 3 * len(CLIENTS)
    lost = lines["p", "2", "vqa-2"]
    assert (lost["answered"], lost["counted"], lost["reason"], lost["num_examples"]) == ("false", "false", "Lost", "")
    told = lines["p", "1", "vqa-2"]
    assert (told["counted"], told["loss_first"], told["uploaded_bytes"]) == ("true", "3.0", "1500")
    assert lines["l", "1", "vqa-2"]["loss_first"] == ""


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_a_spreadsheet_would_calculate_is_quoted(text):
    assert csv_lines.guarded(text) == f"'{text}"


@pytest.mark.parametrize("value", [-0.5, -3, "vqa-1", "", None])
def test_numbers_and_plain_text_stay_as_they_are(value):
    assert csv_lines.guarded(value) == value
