"""Environment, results, progress, log lines, refusals."""

import json
import logging
import threading
import time

import httpx
import pytest
import torch
from pilot_client.errors import ApiError, Unreachable
from pilot_proto.assignment import AdapterRef, Assignment, Inputs, ModelRef, PrivateStateRef
from pilot_proto.canonical import digest_of, document_digest
from pilot_proto.problem import Problem
from pilot_proto.run import Progress
from pilot_proto.training import Training
from pilot_proto.update import UPDATE_FILE, PreparedModel, Update
from pilot_trainer.environment import Environment
from pilot_trainer.errors import BadAssignment, BadConfiguration
from pilot_trainer.exchange import NotNeeded, manifest_of, meaning_of
from pilot_trainer.logs import JsonLines
from pilot_trainer.program import as_trainer_error
from pilot_trainer.progress import Reporter
from pilot_trainer.results import (
    claim_work,
    find_answer,
    find_result,
    seal_result,
    tidy_results,
    tidy_work,
    write_tensors,
)

ZERO = "sha256:" + "0" * 64
ONES = "sha256:" + "1" * 64


@pytest.fixture
def environ(tmp_path) -> dict[str, str]:
    (tmp_path / "token").write_text("secret\n")
    names = ("AGGREGATOR_URL", "REGISTRY_URL", "RUN", "INCARNATION", "MODEL_DIR", "STATE_DIR", "DATA_DIR")
    given = {f"PILOT_{name}": f"/{name.lower()}" for name in names}
    return given | {"PILOT_ROUND": "3", "PILOT_CLIENT": "vqa-1", "PILOT_TOKEN_FILE": str(tmp_path / "token")}


def test_an_environment_is_read_whole(environ):
    found = Environment.read({**environ, "OMP_NUM_THREADS": "4", "PILOT_PATIENCE_S": "5"})
    assert (found.round, found.client, found.num_threads, found.patience_s) == (3, "vqa-1", 4, 5)
    assert str(found.data_dir) == "/data_dir"


def test_every_missing_variable_is_named_at_once(environ):
    del environ["PILOT_RUN"], environ["PILOT_STATE_DIR"]
    with pytest.raises(BadConfiguration, match="PILOT_RUN, PILOT_STATE_DIR"):
        Environment.read(environ)


def test_only_the_preparer_may_come_without_data(environ):
    del environ["PILOT_DATA_DIR"]
    with pytest.raises(BadConfiguration, match="PILOT_DATA_DIR"):
        Environment.read(environ)
    assert Environment.read({**environ, "PILOT_CLIENT": "base"}).data_dir is None


def test_an_empty_credential_is_refused(environ, tmp_path):
    (tmp_path / "token").write_text(" \n")
    with pytest.raises(BadConfiguration, match="holds no token"):
        Environment.read(environ)


def assignment(**changes) -> Assignment:
    values = {
        "run": "r",
        "round": 1,
        "client": "vqa-1",
        "task": "vqa",
        "program": "stage-1",
        "model": ModelRef(name="digits-tiny"),
        "tasks": ("vqa",),
        "training": Training(),
        "seed": 1,
    }
    return Assignment(**{**values, **changes})


def update(**changes) -> Update:
    values = {
        "run": "r",
        "round": 1,
        "client": "vqa-1",
        "task": "vqa",
        "program": "stage-1",
        "assignment": ZERO,
        "model": PreparedModel(digest=ONES, name="digits-tiny"),
        "num_examples": 7,
    }
    return Update(**{**values, **changes})


def sealed(tmp_path, name="one", **changes):
    draft = tmp_path / name
    draft.mkdir()
    digest = write_tensors(draft / "state.safetensors", {"x": torch.arange(3.0)})
    return seal_result(draft, update(private_state=digest, **changes), assignment(), tmp_path / "uid" / "results")


def test_a_result_is_named_by_the_digest_of_its_update_and_found_by_it(tmp_path):
    result = sealed(tmp_path)
    raw = (result.folder / UPDATE_FILE).read_bytes()
    assert result.folder.name == digest_of(raw).removeprefix("sha256:")
    assert find_answer(tmp_path / "uid" / "results", ZERO) == result
    assert find_answer(tmp_path / "uid" / "results", ONES) is None
    assert find_result(tmp_path, digest_of(raw)).private()["x"].tolist() == [0, 1, 2]
    assert result.assignment() == assignment()
    assert list(result.uploads()) == ["update.json"]


def test_the_same_result_by_two_incarnations_is_one(tmp_path):
    assert sealed(tmp_path, "one") == sealed(tmp_path, "two")
    assert not (tmp_path / "two").exists()


def test_a_damaged_or_missing_result_is_a_bad_assignment(tmp_path):
    result = sealed(tmp_path)
    (result.folder / "state.safetensors").write_bytes(b"x")
    with pytest.raises(BadAssignment, match="damaged"):
        result.private()
    with pytest.raises(BadAssignment, match="does not hold"):
        find_result(tmp_path, ZERO)
    (result.folder / UPDATE_FILE).write_bytes(update(num_examples=8).model_dump_json().encode())
    with pytest.raises(BadAssignment, match="does not hold"):
        find_result(tmp_path, "sha256:" + result.folder.name)


def test_work_of_other_assignments_is_tidied_and_a_twin_left_alone(tmp_path):
    claim_work(tmp_path, "old", ZERO)
    twin = claim_work(tmp_path, "twin", ONES)
    tidy_work(tmp_path, ONES)
    assert list(tmp_path.iterdir()) == [twin]


def test_results_that_nothing_can_ask_for_are_deleted_and_accepted_ones_kept(tmp_path):
    results = tmp_path / "uid" / "results"
    first = sealed(tmp_path, "a", round=1)
    lost = sealed(tmp_path, "b", round=2, num_examples=8)
    second = sealed(tmp_path, "c", round=2)
    now = sealed(tmp_path, "d", round=3)
    accepted = PrivateStateRef(update="sha256:" + second.folder.name, round=2, program="stage-1")
    tidy_results(results, assignment(round=3, private_state=accepted))
    assert set(results.iterdir()) == {first.folder, second.folder, now.folder}
    assert not lost.folder.exists()
    tidy_results(results, assignment(round=3, private_state=accepted, keep_states="last"))
    assert set(results.iterdir()) == {second.folder, now.folder}


def test_a_state_of_another_run_says_nothing_of_the_results_of_this_one(tmp_path):
    results = tmp_path / "uid" / "results"
    own = sealed(tmp_path, "a", round=2)
    elsewhere = PrivateStateRef(update=ONES, round=2, program="stage-2")
    tidy_results(results, assignment(round=3, private_state=elsewhere))
    tidy_results(results, assignment(round=3))
    assert list(results.iterdir()) == [own.folder]


def test_the_manifest_of_an_update_names_its_inputs_once_and_sorted():
    def ref(repo: str, digit: str) -> AdapterRef:
        return AdapterRef(repo=repo, commit=digit * 40, files={})

    own = ref("r/task-vqa-connector", "b")
    inputs = Inputs(text=ref("r/client-vqa-1-text", "a"), connector=own, task_connectors={"vqa": own})
    manifest = manifest_of(update(), assignment(inputs=inputs), {})
    assert [(p.repo, p.commit[0]) for p in manifest.parents] == [("r/client-vqa-1-text", "a"), (own.repo, "b")]
    assert (manifest.repo, manifest.num_examples, manifest.model_digest) == ("r/client-vqa-1-update", 7, ONES)
    assert len(document_digest(manifest)) == 71


def refusal(status: int, code: str) -> ApiError:
    return ApiError(Problem(type=code, title=code, status=status, code=code, detail="no"))


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (409, "already_answered", NotNeeded),
        (409, "round_closed", NotNeeded),
        (401, "unauthorised", BadConfiguration),
        (403, "forbidden", BadConfiguration),
        (404, "unknown_run", BadAssignment),
    ],
)
def test_a_refusal_means_one_thing_for_an_attempt(status, code, meaning):
    assert isinstance(meaning_of(refusal(status, code)), meaning)


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (BadAssignment("x"), 64),
        (Unreachable("away"), 75),
        (OSError(28, "No space left on device"), 75),
        (torch.OutOfMemoryError("x"), 75),
        (httpx.InvalidURL("x"), 70),
    ],
)
def test_every_exception_has_an_exit_code(problem, code):
    assert as_trainer_error(problem).exit_code == code


def test_a_reporter_sends_the_latest_only_and_survives_failures():
    sent, failing = [], threading.Event()

    def send(progress: Progress) -> None:
        sent.append(progress.step)
        if not failing.is_set():
            failing.set()
            raise Unreachable("away")

    reporter = Reporter(send, interval_s=0.05)
    reporter.report(Progress(step=1))
    while not sent:
        time.sleep(0.001)
    for step in range(2, 50):
        reporter.report(Progress(step=step))
    while sent[-1] != 49:
        time.sleep(0.001)
    reporter.close()
    assert len(sent) < 10
    reporter.report(Progress(step=50))
    time.sleep(0.02)
    assert sent[-1] == 49


def test_a_slow_aggregator_holds_up_nobody():
    release = threading.Event()
    reporter = Reporter(lambda _: (release.wait(10), None)[1], interval_s=0.01)
    for step in range(1000):
        reporter.report(Progress(step=step))
    reporter.close()
    release.set()


def test_a_log_line_is_one_json_object_with_its_fields():
    record = logging.makeLogRecord({"msg": "bad record", "levelname": "WARNING", "file": "a.json", "index": 3})
    line = json.loads(JsonLines().format(record))
    assert {"event": "bad record", "level": "warning", "file": "a.json", "index": 3}.items() <= line.items()
