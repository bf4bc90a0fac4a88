"""`pilot export` and `pilot predict`: what they choose, say and refuse before any model is loaded."""

import json
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from pilot_cli.errors import CommandError
from pilot_cli.export import Point, choose_round, tell_measured, tell_program
from pilot_cli.export_job import copying, make, tell_place
from pilot_cli.local.place import Place
from pilot_client.errors import Unreachable
from pilot_client.transport import Token
from pilot_proto.personal_model import ExportOrder, ExportView
from pilot_proto.report import ClientReport
from pilot_proto.run import RunSpec, RunStatus, RunView
from unit.aggregator.world import MODEL, NOW, accepted, base_slots, history, open_round, published_of, run_record

REPORT = ClientReport(
    client="vqa-1", task="vqa", metric="exact-match", before=0.2, merged=(0.5, 0.61), local=(0.55, 0.6)
)


@pytest.fixture
def place() -> Place:
    status = RunStatus(uid="u", phase="Training", published=2, total_rounds=3, created_at="2025-01-01T00:00:00Z")
    spec = RunSpec(model="digits-tiny", rounds=("stage-1", "stage-2", "stage-2"))
    run = RunView(metadata={"name": "digits"}, spec=spec, status=status)
    folder = Path("/somewhere")
    return Place(run, "vqa-1", "http://a", "http://r", folder, folder, folder, folder, Token(value="x"))


def published(place: Place, number: int) -> Place:
    return replace(
        place, run=place.run.model_copy(update={"status": place.run.status.model_copy(update={"published": number})})
    )


def test_the_last_published_training_round_is_the_default(place):
    assert choose_round(place.run, None, Point.MERGED) == 2
    # Round 4 only evaluates.
    assert choose_round(published(place, 4).run, None, Point.MERGED) == 3
    assert choose_round(place.run, 1, Point.MERGED) == 1


def test_a_round_that_is_not_published_has_no_merged_model_yet(place):
    with pytest.raises(CommandError, match=r"has not published round 3: the last published is 2"):
        choose_round(place.run, 3, Point.MERGED)
    assert choose_round(place.run, 3, Point.LOCAL) == 3
    with pytest.raises(CommandError, match="has not published round 1: nothing is published yet"):
        choose_round(published(place, -1).run, None, Point.MERGED)


def test_both_points_are_told_and_the_better_one_is_named(capsys):
    tell_measured(REPORT, 1, Point.MERGED)
    told = capsys.readouterr().out
    assert "merged 50.0 %, local 55.0 %" in told
    assert "--point local exports it" in told
    tell_measured(REPORT, 2, Point.MERGED)
    assert "exports it" not in capsys.readouterr().out
    tell_measured(REPORT, 2, Point.LOCAL)
    assert "--point merged exports it" in capsys.readouterr().out


def test_nothing_is_told_of_what_nobody_measured(capsys):
    tell_measured(None, 1, Point.MERGED)
    tell_measured(REPORT, 3, Point.MERGED)
    assert capsys.readouterr().out == ""


def test_a_client_that_is_a_stage_behind_is_named(place, capsys):
    tell_program(place, 2, "stage-2")
    assert capsys.readouterr().out == ""
    tell_program(place, 2, "stage-1")
    assert "vqa-1 has done stage-1 only: the round was stage-2" in capsys.readouterr().out


def test_private_state_is_not_looked_for_on_another_machine(deployed, pilot):
    told = pilot("export", "t", "--client", "vqa-1", "--out", "model")
    assert told.code == 2
    assert "the private state of 'vqa-1' is not on this machine" in told.err
    assert "leave --out out: a Job of the client" in told.err


def test_on_this_machine_a_folder_must_be_named(elsewhere, pilot):
    told = pilot("export", "t", "--client", "vqa-1")
    assert (told.code, "--out DIR" in told.err) == (2, True)


# -- as a Job

POD = {"kind": "Pod", "metadata": {"name": "j-x1-read", "namespace": "trainers"}, "note": "it's quoted"}
MADE = ExportView(
    run="t",
    round=1,
    client="vqa-1",
    point="merged",
    merge_lora=False,
    job="j-x1",
    state="Succeeded",
    folder="exports/t-round-1-merged",
    namespace="trainers",
    claim="state-vqa-1",
    pod=POD,
    path="/state/exports/t-round-1-merged",
    requested_at="2026-03-01T12:00:00Z",
)


class Answers:
    """An aggregator that tells one state after the other; None is no answer."""

    def __init__(self, *states: str | None) -> None:
        self._views = [s if s is None else MADE.model_copy(update={"state": s, "message": f"{s}: so"}) for s in states]

    def order_export(self, *_):
        return self._views.pop(0)

    def export(self, *_):
        if (view := self._views.pop(0)) is None:
            raise Unreachable("away")
        return view


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr("pilot_cli.export_job.POLL_S", 0.0)


@pytest.mark.usefixtures("at_once")
def test_each_state_of_the_job_is_told_once_whatever_happens_to_the_aggregator(capsys):
    states = ("Intended", "Pending", "Pending", None, "Unknown", "Running", "Succeeded")
    assert make(Answers(*states), "t", 1, "vqa-1", ExportOrder()).state == "Succeeded"
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in told] == ["Intended", "Pending", "Unknown", "Running", "Succeeded"]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("state", ["Failed", "Disrupted", "Lost", "Stopped"])
def test_a_job_that_ends_otherwise_fails_the_command_with_its_words(state):
    with pytest.raises(CommandError, match=f"the export of 'vqa-1' ended: {state}: {state}: so") as error:
        make(Answers("Running", state), "t", 1, "vqa-1", ExportOrder())
    assert "kubectl -n trainers logs job/j-x1" in error.value.hint


def test_the_folder_comes_here_by_commands_that_a_shell_understands(tmp_path):
    (tmp_path / "kubectl").write_text('#!/bin/sh\nprintf "%s\\n" "$*" >>calls\n[ "$1" != apply ] || cat >pod.json\n')
    (tmp_path / "kubectl").chmod(0o700)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["bash", "-ec", "\n".join(copying(MADE))], cwd=tmp_path, env=variables, check=True)
    assert json.loads((tmp_path / "pod.json").read_text()) == POD
    assert (tmp_path / "calls").read_text().splitlines() == [
        "apply -f -",
        "-n trainers wait --for=condition=Ready pod/j-x1-read --timeout=300s",
        "-n trainers cp j-x1-read:/state/exports/t-round-1-merged vqa-1-model",
        "-n trainers delete pod j-x1-read",
    ]


def test_the_place_of_the_folder_is_told_in_whole_lines(capsys):
    tell_place(MADE)
    told = capsys.readouterr().out
    assert "exports/t-round-1-merged on the claim state-vqa-1, namespace trainers" in told
    assert json.dumps(POD) in told
    tell_place(MADE.model_copy(update={"claim": "", "pod": {}}))
    assert capsys.readouterr().out == "exports/t-round-1-merged on the volume of the client's state\n"


@pytest.mark.usefixtures("at_once")
def test_the_command_orders_the_last_published_round_and_waits_for_it(deployed, pilot):
    service = deployed.service
    run = a_run_with_a_published_round(service)
    ordered = threading.Thread(target=end_the_job, args=(service,))
    ordered.start()
    told = pilot("export", run.name, "--client", "vqa-1", "--merge-lora")
    ordered.join()
    assert told.code == 0, told.err
    assert "merged model of vqa-1 in round 1 of t" in told.out
    assert "exports/t-round-1-merged-folded on the claim state-vqa-1, namespace trainers" in told.out


def test_what_the_aggregator_refuses_is_told(deployed, pilot):
    run = a_run_with_a_published_round(deployed.service)
    told = pilot("export", run.name, "--client", "cap-1")
    assert (told.code, "[nothing_to_export]" in told.err) == (5, True)


def a_run_with_a_published_round(service):
    service.store.create_run(run_record(), None, None)
    run = service.store.run("t")
    for number, past in ((0, None), (1, history())):
        open_round(service.store, run, number, past)
        states = {"vqa-1": (accepted(1, "stage-1"),)} if number else {}
        service.store.adopt_publication(run.uid, number, published_of(number, []), base_slots(), states, MODEL, NOW)
    return run


def end_the_job(service):
    """Be the loop and the cluster, until there was one Job."""
    backend = service.attempts._backend
    while not backend.jobs:
        service.exports.follow()
    backend.end(*backend.jobs)
    service.exports.follow()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("t",),
        ("--client", "vqa-1"),
        ("t", "--client", "vqa-1", "--model", "x"),
        ("t", "--client", "c", "--base", "b"),
    ],
)
def test_predict_wants_either_a_client_of_a_run_or_a_folder(elsewhere, pilot, arguments):
    (elsewhere / "scene.png").write_bytes(b"")
    told = pilot("predict", *arguments, "--image", "scene.png", "--prompt", "what ?")
    assert told.code == 2
    assert "either RUN --client NAME, or --model FOLDER" in told.err


def test_predict_names_a_folder_that_nobody_exported(elsewhere, pilot):
    (elsewhere / "scene.png").write_bytes(b"")
    told = pilot("predict", "--model", "nothing", "--image", "scene.png", "--prompt", "what ?")
    assert told.code == 1
    assert "nothing is no exported model" in told.err
