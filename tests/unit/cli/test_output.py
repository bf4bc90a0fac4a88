"""Tables for people, documents for scripts, a run that is followed."""

import importlib.util
import json
from datetime import timedelta

import pytest
import yaml
from pilot_cli import output, watch
from pilot_cli.output import Format
from pilot_cli.results import comparison, table
from pilot_client.errors import Unreachable
from pilot_proto.report import ClientReport, RunReport, TaskReport
from pilot_proto.run import ClientStatus, Condition, Progress, RunStatus, RunView
from rich.console import Console
from unit.aggregator.world import NOW, UID, spec_of


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (86399, "23h"),
        (86400, "1d"),
        (10**7, "115d"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(seconds, told):
    assert output.age(NOW, NOW + timedelta(seconds=seconds)) == told


def test_a_long_sentence_takes_lines_and_no_room_of_other_columns(monkeypatch, capsys):
    monkeypatch.setattr(output, "console", Console(width=60))
    said = "Unschedulable: " + "no node has what it asks for, " * 6
    output.print_table(["CLIENT", "STATE", "MESSAGE"], [["grounding-1", "Pending", said]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("grounding-1  Pending  Unschedulable:")
    assert " ".join(" ".join(line[22:] for line in lines[1:]).split()) == said.strip()


@pytest.mark.parametrize(("form", "read"), [(Format.JSON, json.loads), (Format.YAML, yaml.safe_load)])
def test_a_document_is_read_back_as_it_was(capsys, form, read):
    document = {"b": [1, None, "\u00e9: x"], "a": {"c": "yes"}}
    output.print_document(document, form)
    printed = read(capsys.readouterr().out)
    assert printed == document
    assert list(printed) == ["b", "a"]


def test_a_table_without_a_terminal_keeps_its_columns_whole(capsys):
    output.print_table(["NAME", "COUNT"], [["x" * 60, "7"], ["[red]y[/]", "12345"]], right=("COUNT",))
    lines = capsys.readouterr().out.splitlines()
    assert "x" * 60 in lines[1]
    assert lines[1].rstrip().endswith("    7")
    assert "\x1b" not in "".join(lines)


@pytest.fixture
def fresh_output(monkeypatch):
    """The module as a terminal's user loads it, with these variables."""

    def load(**variables):
        for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location("output_again", output.__file__)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_obeyed(fresh_output, capsys, variables, coloured):
    module = fresh_output(FORCE_COLOR="1", TERM="xterm-256color", **variables)
    module.complaints.print("error: no", style="bold red")
    module.console.print("fine", style="green")
    said = capsys.readouterr()
    assert ("31m" in said.err) is coloured
    assert ("32m" in said.out) is coloured


def test_a_pipe_gets_no_colours(fresh_output, capsys):
    module = fresh_output(TERM="xterm-256color")
    module.complaints.print("error: no", style="bold red")
    assert capsys.readouterr().err == "error: no\n"


# -- watching


def view(phase="Training", round=1, program="stage-1", clients=(), conditions=()):
    status = RunStatus(
        uid=UID,
        phase=phase,
        round=round,
        program=program,
        total_rounds=3,
        created_at=NOW,
        clients=tuple(clients),
        conditions=tuple(conditions),
    )
    return RunView(metadata={"name": "t"}, spec=spec_of(), status=status)


def client(name="vqa-1", state="Running", **values):
    return ClientStatus(name=name, task="vqa", state=state, **values)


class Views:
    """An aggregator that shows one view after the other; an exception is raised instead."""

    def __init__(self, *shown):
        self.shown = list(shown)

    def run(self, name):
        assert name == "t"
        found = self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(watch, "POLL_S", 0.0)


STORY = (
    view(clients=[client(state="Waiting")]),
    view(clients=[client(state="Waiting")]),
    view(clients=[client(state="Running", progress=Progress(step=1, total_steps=9))]),
    view(clients=[client(state="Running", progress=Progress(step=2, total_steps=9))]),
    view(clients=[client(state="Failed", message="bad_data: none")]),
    view("Succeeded", 4, "evaluate", clients=[client(state="Answered")]),
)


def test_without_a_terminal_a_run_is_followed_in_plain_lines_each_change_once(hurried, capsys):
    last = watch.follow(Views(*STORY), "t")
    assert last.status.phase == "Succeeded"
    assert capsys.readouterr().out.splitlines() == [
        "t: Training, round 1 of 3 (stage-1)",
        "t: round 1: vqa-1 Waiting",
        "t: round 1: vqa-1 Running",
        "t: round 1: vqa-1 Failed bad_data: none",
        "t: Succeeded, final evaluation",
        "t: round 4: vqa-1 Answered",
    ]


def test_watching_goes_on_while_the_aggregator_restarts(hurried, capsys):
    shown = Views(view(), view(), Unreachable("away"), Unreachable("away"), view("Cancelled"))
    assert watch.follow(shown, "t").status.phase == "Cancelled"
    assert capsys.readouterr().out.splitlines()[-1].startswith("t: Cancelled")


def test_a_run_that_has_ended_is_told_at_once(hurried, capsys):
    assert watch.follow(Views(view("Failed")), "t").status.phase == "Failed"
    assert capsys.readouterr().out == "t: Failed, round 1 of 3 (stage-1)\n"


def rendered(made, width=160):
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(made)
    return capture.get().splitlines()


def test_the_live_table_shows_what_a_client_does_only_while_it_does_it():
    told = Progress(step=3, total_steps=9, loss=1.25, stage="training", samples_per_s=12.34, eta_s=61.7)
    made = watch._table(view(clients=[client(progress=told), client("vqa-2", "Answered", progress=told, attempt=2)]))
    rows = {line.split()[0]: line.split()[1:] for line in rendered(made)}
    assert rows["vqa-1"] == ["vqa", "Running", "training", "3/9", "1.250", "12.3", "62", "s"]
    assert rows["vqa-2"] == ["vqa", "Answered", "(attempt", "2)"]


def test_the_headline_names_conditions():
    made = watch._headline(view(conditions=[Condition(type="Partial", reason="ClientLost")]))
    assert rendered(made) == ["t  Training  round 1 of 3 (stage-1)  Partial"]


# -- results


def report(name="t", method="pilot", merged=0.75):
    one = ClientReport(
        client="vqa-1", task="vqa", metric="exact-match", before=0.5, merged=(0.6, merged), local=(0.7, 0.8)
    )
    two = ClientReport(
        client="cap-1", task="caption", metric="cider", before=None, merged=(None, 1.5), local=(None, None)
    )
    tasks = (
        TaskReport(task="caption", metric="cider", before=None, merged=1.5, local=None),
        TaskReport(
            task="vqa", metric="exact-match", before=0.5, merged=merged, local=0.8, gain=0.25, interval=(0.1, 0.4)
        ),
    )
    return RunReport(run=name, method=method, rounds=2, clients=(one, two), tasks=tasks, published={}, digests={})


def test_the_result_table_has_the_last_round_per_client_and_the_interval_per_task():
    lines = [line.rstrip() for line in rendered(table(report()))]
    vqa = next(line for line in lines if line.startswith("vqa "))
    assert vqa.split()[1:] == ["exact-match", "50.0", "%", "75.0", "%", "80.0", "%", "+25.0", "[+10.0,", "+40.0]"]
    own = next(line for line in lines if " vqa-1 " in line)
    assert own.split() == ["vqa-1", "50.0", "%", "75.0", "%", "80.0", "%"]
    caption = next(line for line in lines if " cap-1 " in line)
    assert caption.split() == ["cap-1", "-", "1.500", "-"]


def test_a_comparison_sets_merged_beside_merged_and_local_beside_local():
    lines = rendered(comparison(report(), [report("u", "fedavg", 0.25)]))
    vqa = next(line for line in lines if line.startswith("vqa "))
    assert vqa.split()[2:] == ["50.0", "%", "75.0", "%", "80.0", "%", "25.0", "%", "80.0", "%"]
    heads = " ".join(lines[:3])
    assert heads.count("pilot") >= 2
    assert heads.count("fedavg") >= 2
