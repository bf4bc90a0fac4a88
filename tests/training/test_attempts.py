"""One attempt among others: what it does when it is late, interrupted, misled or badly fed."""

import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from PIL import Image
from pilot_proto.assignment import ModelRef, PrivateStateRef
from pilot_trainer.program import run

pytestmark = pytest.mark.training

ZERO = "sha256:" + "0" * 64


def last_words(site) -> str:
    return (site.state / "last-words").read_text()


def results(site) -> set[str]:
    return {folder.name for folder in site.results.glob("*")}


def own_data(site, tmp_path) -> Path:
    """A copy of the client's data that a test may spoil."""
    site.data = shutil.copytree(site.data / site.client, tmp_path / "spoilt" / site.client).parent
    return site.data / site.client


def test_an_answer_that_somebody_else_gave_first_is_dropped(prepared):
    before = results(prepared)
    prepared.services.refuse_commits = (409, "already_answered")
    prepared.assign(1, "stage-1")
    assert run(prepared.environ()) == 0
    assert results(prepared) == before


def test_a_closed_round_ends_the_attempt_and_keeps_the_result_which_may_have_been_accepted_before(prepared):
    before = results(prepared)
    prepared.services.refuse_commits = (409, "round_closed")
    prepared.assign(1, "stage-1")
    assert run(prepared.environ()) == 0
    assert len(results(prepared) - before) == 1


def test_an_update_that_admission_refuses_fails_with_the_reason_and_without_retry(prepared):
    prepared.services.refuse_commits = (422, "non_finite")
    prepared.assign(1, "stage-1")
    assert run(prepared.environ()) == 65
    assert last_words(prepared).startswith("non_finite: ")
    assert prepared.services.said("failure")[-1]["code"] == "non_finite"


def test_an_aggregator_that_fails_every_report_stops_nobody(prepared):
    prepared.services.hints_fail = True
    prepared.go(1, "stage-1")
    assert prepared.services.said("progress")


def test_progress_tells_stage_step_and_losses_at_most_once_a_second(prepared):
    prepared.settings["num_train_epochs"] = 8
    before, began = len(prepared.services.said("progress")), time.monotonic()
    prepared.go(1, "stage-1")
    said = prepared.services.said("progress")[before:]
    assert len(said) <= time.monotonic() - began + 2
    training = [one for one in said if one["stage"] == "training"]
    assert training
    assert training[-1]["losses"].keys() == {"total", "cross_entropy", "difference"}
    assert 0 < training[-1]["step"] <= training[-1]["total_steps"]


def test_the_commit_is_reported(prepared):
    prepared.go(1, "stage-1")
    assert prepared.services.said("report")[-1]["commit"] in prepared.services.manifests


def test_input_bytes_that_are_not_what_was_assigned_are_refused(prepared):
    files = prepared.services.downloads[(prepared.text.repo, prepared.text.commit)]
    raw = bytearray(files["adapter_model.safetensors"])
    raw[-1] ^= 1
    files["adapter_model.safetensors"] = bytes(raw)
    prepared.assign(1, "stage-1")
    assert run(prepared.environ()) == 64
    assert "do not have the digest" in last_words(prepared)


def test_another_base_model_than_the_run_was_prepared_with_is_a_configuration_error(prepared):
    prepared.assign(1, "stage-1", model=ModelRef(name="digits-tiny", digest=ZERO))
    assert run(prepared.environ()) == 78
    assert "mount the same files" in last_words(prepared)


def test_a_private_state_that_is_not_on_the_volume_is_a_bad_assignment(prepared):
    prepared.assign(2, "stage-2", private_state=PrivateStateRef(update=ZERO, round=1, program="stage-1"))
    assert run(prepared.environ()) == 64
    assert "does not hold the client's last accepted update" in last_words(prepared)


def test_a_damaged_private_state_is_noticed(prepared):
    prepared.go(1, "stage-1")
    (state,) = prepared.results.glob("*/state.safetensors")
    raw = bytearray(state.read_bytes())
    raw[-1] ^= 1
    state.write_bytes(raw)
    prepared.assign(2, "stage-2")
    assert run(prepared.environ()) == 64
    assert "damaged" in last_words(prepared)


def test_a_missing_variable_is_named(prepared):
    prepared.assign(1, "stage-1")
    environ = prepared.environ()
    del environ["PILOT_STATE_DIR"]
    assert run(environ) == 78
    assert "not set: PILOT_STATE_DIR" in last_words(prepared)
    assert run({**prepared.environ(), "PILOT_ROUND": "two"}) == 78


def test_bad_records_above_one_in_a_hundred_end_the_attempt_with_their_places(prepared, tmp_path):
    folder = own_data(prepared, tmp_path)
    (folder / "images" / "train-000003.png").unlink()
    prepared.assign(1, "stage-1")
    assert run(prepared.environ()) == 65
    assert "train.json, record 3: image 'train-000003.png' is missing" in last_words(prepared)


def test_an_image_that_breaks_off_is_bad_data(prepared, tmp_path):
    folder = own_data(prepared, tmp_path)
    image = folder / "images" / "train-000003.png"
    Image.effect_noise((64, 64), 50).save(image)
    image.write_bytes(image.read_bytes()[:600])
    prepared.assign(1, "stage-1")
    assert run(prepared.environ()) == 65
    assert "train-000003.png cannot be decoded" in last_words(prepared)


def test_data_of_another_task_are_refused(prepared):
    prepared.assign(1, "stage-1", task="caption")
    assert run(prepared.environ()) == 65
    assert "for task 'vqa', the assignment for 'caption'" in last_words(prepared)


def test_a_connector_that_never_saw_an_image_is_reported_by_name(prepared, tmp_path):
    folder = own_data(prepared, tmp_path)
    rows = json.loads((folder / "train.json").read_text())
    for row in rows:
        del row["image"]
        row["conversations"][0]["value"] = row["conversations"][0]["value"].replace("<image>\n", "")
    (folder / "train.json").write_text(json.dumps(rows))
    prepared.assign(1, "stage-1")
    assert run(prepared.environ()) == 78
    assert "these adapters are unchanged: client, task" in last_words(prepared)


def test_training_that_diverges_says_so(prepared):
    prepared.settings["learning_rate"] = {"stage-1": {"connector": 1e30, "text": 1e30}}
    prepared.assign(1, "stage-1")
    assert run(prepared.environ()) == 78
    assert "training diverged" in last_words(prepared)


def test_text_only_samples_among_images_are_trained_on(prepared, tmp_path):
    folder = own_data(prepared, tmp_path)
    rows = json.loads((folder / "train.json").read_text())
    for row in rows[::2]:
        del row["image"]
        row["conversations"][0]["value"] = "how many digits are there ?"
    (folder / "train.json").write_text(json.dumps(rows))
    assert prepared.go(1, "stage-1").num_examples == len(rows)


def in_child(site, incarnation: str) -> multiprocessing.Process:
    """The attempt in a forked process, as the local backend starts it."""

    def main() -> None:
        os._exit(run(site.environ(incarnation)))

    child = multiprocessing.get_context("fork").Process(target=main)
    child.start()
    return child


def interrupted(site, incarnation: str, how: signal.Signals) -> int:
    """Start an attempt and end it after its first checkpoint. -> its exit code."""
    child = in_child(site, incarnation)
    checkpoint = site.state / site.services.uid / "work" / incarnation / "checkpoint.pt"
    while not checkpoint.exists():
        assert child.is_alive(), f"ended with {child.exitcode} before its first checkpoint"
        time.sleep(0.01)
    os.kill(child.pid, how)
    child.join()
    return child.exitcode


def test_an_update_that_is_interrupted_twice_goes_on_and_ends_in_the_same_bytes(prepared, tmp_path):
    prepared.settings |= {"num_train_epochs": 12, "checkpoint_every_s": 1}
    points = (("merged", 0), ("local", 1))
    undisturbed = prepared.fresh(tmp_path / "undisturbed")
    undisturbed.assign(1, "stage-1", points)
    assert run(undisturbed.environ()) == 0

    before = results(prepared)
    assert interrupted(prepared, "first", signal.SIGKILL) == -signal.SIGKILL
    assert interrupted(prepared, "second", signal.SIGTERM) == 75
    assert "asked to stop" in last_words(prepared)
    assert results(prepared) == before

    said = len(prepared.services.said("progress"))
    assert run(prepared.environ("third")) == 0
    assert results(prepared) - before == results(undisturbed)
    stages = [one["stage"] for one in prepared.services.said("progress")[said:]]
    assert stages.count("evaluating") <= 1, "merged was measured before the interruption and need not be again"
    assert list((prepared.state / prepared.services.uid / "work").glob("third")) == []


def test_an_attempt_in_a_forked_child_makes_the_same_bytes(prepared, tmp_path):
    here = prepared.fresh(tmp_path / "here")
    here.go(1, "stage-1")
    before = results(prepared)
    prepared.assign(1, "stage-1")
    child = in_child(prepared, "child")
    child.join()
    assert child.exitcode == 0
    assert results(prepared) - before == results(here)
