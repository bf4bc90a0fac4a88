"""`pilot export` and `pilot predict`: what they choose, say and refuse before any model is loaded."""

from dataclasses import replace
from pathlib import Path

import pytest
from pilot_cli.errors import CommandError
from pilot_cli.export import Point, choose_round, tell_measured, tell_program
from pilot_cli.local.place import Place
from pilot_client.transport import Token
from pilot_proto.report import ClientReport
from pilot_proto.run import RunSpec, RunStatus, RunView

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
    assert choose_round(place, None, Point.MERGED) == 2
    # Round 4 only evaluates.
    assert choose_round(published(place, 4), None, Point.MERGED) == 3
    assert choose_round(place, 1, Point.MERGED) == 1


def test_a_round_that_is_not_published_has_no_merged_model_yet(place):
    with pytest.raises(CommandError, match=r"has not published round 3: the last published is 2"):
        choose_round(place, 3, Point.MERGED)
    assert choose_round(place, 3, Point.LOCAL) == 3
    with pytest.raises(CommandError, match="has not published round 1: nothing is published yet"):
        choose_round(published(place, -1), None, Point.MERGED)


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
    assert told.code == 3
    assert "the private state of 'vqa-1' is not on this machine" in told.err
    assert "python -m pilot_trainer.export" in told.err


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
