"""Whole runs over the real services with the stand-in trainer: who is late, who is wrong, and what a person may do."""

import json
import os
import subprocess
import sys

import pytest
import standin
from deployments import TESTS, harness, outcome, run_document
from pilot_client.errors import ApiError
from pilot_proto.boundaries import Boundary


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    with harness(tmp_path_factory.mktemp("rounds") / "d") as made:
        yield made


@pytest.fixture(autouse=True)
def no_faults(deployed):
    deployed.faults()
    yield
    deployed.faults()


def entries(deployed, name, number):
    return {entry.client: entry for entry in deployed.aggregator.round(name, number).ledger.entries}


def test_a_run_prepares_trains_merges_evaluates_and_succeeds(deployed):
    run = deployed.run(run_document("plain"))
    assert run.status.phase == "Succeeded", deployed.logs()
    assert run.status.conditions == ()
    rounds = deployed.aggregator.rounds("plain")
    assert [r.program for r in rounds] == ["prepare", "plain", "plain", "evaluate"]
    assert set(rounds[0].outputs) == {"plain/base-text", "plain/base-connector"}
    assert set(rounds[2].outputs) == {"plain/global-text", "plain/global-connector"}
    assert all(entry.counted for entry in rounds[2].ledger.entries)
    assert sum(entry.shares["text"] for entry in rounds[2].ledger.entries) == pytest.approx(1)


def test_a_round_tells_when_each_step_was_done_and_what_each_trainer_did(deployed):
    deployed.run(run_document("timed", rounds=["plain"]))
    told = deployed.aggregator.timeline("timed", 1)
    steps = [told.opened_at, told.sealed_at, told.measured_at, told.planned_at, told.merged_at, told.published_at]
    assert steps == sorted(steps)
    assert [client.client for client in told.clients] == ["cap-1", "cap-2", "vqa-1", "vqa-2"]
    attempts = [attempt for client in told.clients for attempt in client.attempts]
    assert all(attempt.intended_at <= attempt.started_at <= attempt.ended_at for attempt in attempts)
    # A report is a hint: the last client's may come after its job was stopped, but no other's.
    reported = [attempt for attempt in attempts if attempt.stages == standin.TIMINGS]
    assert len(reported) >= 3
    assert all(attempt.reported_at >= attempt.started_at for attempt in reported)


def test_pilot_gives_every_client_its_own_text_adapter_and_every_task_its_connector(deployed):
    run = deployed.run(run_document("pilot", method="pilot", rounds=["stage-1", "stage-2"]))
    assert run.status.phase == "Succeeded", deployed.logs()
    outputs = deployed.aggregator.round("pilot", 2).outputs
    texts = {f"pilot/client-{c}-text" for c in ("vqa-1", "vqa-2", "cap-1", "cap-2")}
    assert set(outputs) == texts | {"pilot/task-vqa-connector", "pilot/task-caption-connector"}


def test_a_published_round_is_verified_by_recomputing_it(deployed):
    deployed.run(run_document("checked", method="pilot", rounds=["stage-1"]))
    report = deployed.aggregator.verify("checked", 1)
    assert report.verdict == "identical"
    assert len(report.outputs) == 6
    assert report.max_distance_error <= 1e-12


def test_verifying_says_that_retention_deleted_the_inputs(deployed):
    deployed.run(run_document("retired", retention={"raw_updates": "after-publish"}))
    assert deployed.aggregator.verify("retired", 1).verdict == "inputs_deleted"


def test_the_report_has_every_client_at_every_point(deployed):
    deployed.run(run_document("reported"))
    report = deployed.aggregator.report("reported")
    assert len(report["clients"]) == 4
    for client in report["clients"]:
        assert None not in (client["before"], *client["merged"], *client["local"])
    assert all(task["interval"][0] <= task["gain"] <= task["interval"][1] for task in report["tasks"])


def test_a_late_client_is_left_out_and_takes_part_again_in_the_next_round(deployed):
    deployed.faults(cap_2={"hang": {"1": 4.0}})
    participation = {"quorum": "75%", "grace_s": 1, "start_deadline_s": 60, "stall_s": 60, "deadline_s": 60}
    run = deployed.run(run_document("late", participation=participation))
    assert run.status.phase == "Succeeded", deployed.logs()
    assert entries(deployed, "late", 1)["cap-2"].reason == "Late"
    assert not entries(deployed, "late", 1)["cap-2"].answered
    assert entries(deployed, "late", 2)["cap-2"].counted
    (partial,) = run.status.conditions
    assert (partial.type, partial.reason) == ("Partial", "ClientLost")
    assert "cap-2" in partial.message


@pytest.mark.parametrize(
    ("poison", "code"),
    [("nan", "non_finite"), ("shape", "schema_mismatch"), ("extra", "schema_mismatch"), ("dtype", "schema_mismatch")],
)
def test_a_bad_upload_fails_that_client_with_the_reason_and_the_others_go_on(deployed, poison, code):
    deployed.faults(vqa_2={"poison": {"1": poison}})
    participation = {"quorum": "75%", "grace_s": 60, "attempts": 1}
    run = deployed.run(run_document(f"bad-{poison}", rounds=["plain"], participation=participation))
    assert run.status.phase == "Succeeded", deployed.logs()
    entry = entries(deployed, f"bad-{poison}", 1)["vqa-2"]
    assert (entry.counted, entry.reason) == (False, code)


def test_an_attempt_that_fails_is_tried_again_and_its_failures_are_counted(deployed):
    deployed.faults(vqa_1={"exit": {"1": 75}})
    run = deployed.run(run_document("tries", rounds=["plain"], participation={"attempts": 2, "grace_s": 60}))
    assert run.status.phase == "Failed"
    (client,) = [c for c in run.status.clients if c.name == "vqa-1"]
    assert (client.state, client.attempt) == ("Failed", 2)


def test_bad_data_is_not_tried_again(deployed):
    deployed.faults(vqa_1={"exit": {"1": 65}})
    participation = {"quorum": "75%", "grace_s": 60, "attempts": 3}
    run = deployed.run(run_document("fatal", rounds=["plain"], participation=participation))
    assert run.status.phase == "Succeeded"
    events = [c for c in deployed.aggregator.rounds("fatal")[1].ledger.entries if c.client == "vqa-1"]
    assert not events[0].answered


def test_a_task_without_its_clients_fails_the_run_and_names_the_way_out(deployed):
    deployed.faults(vqa_1={"exit": {"2": 65}}, vqa_2={"exit": {"2": 65}})
    run = deployed.run(run_document("gone", participation={"quorum": "50%", "grace_s": 60}))
    assert run.status.phase == "Failed"
    (failed,) = run.status.conditions
    assert failed.reason == "QuorumMissed"
    assert "task 'vqa'" in failed.message
    assert "start_from: {run: gone, round: 1}" in failed.message
    deployed.faults()
    again = deployed.run(run_document("gone-on", rounds=["plain"], start_from={"run": "gone", "round": 1}))
    assert again.status.phase == "Succeeded", deployed.logs()


def test_a_run_that_starts_from_a_round_gives_what_going_on_would_have_given(deployed):
    deployed.run(run_document("whole", rounds=["plain", "plain"]))
    deployed.run(run_document("half", rounds=["plain"]))
    deployed.run(run_document("other-half", rounds=["plain"], start_from={"run": "half", "round": 1}))
    first = deployed.aggregator.round("whole", 1).digests["whole/global-text"]
    assert deployed.aggregator.round("half", 1).digests["half/global-text"] == first
    # The seeds of round 1 and round 2 differ, so the second halves differ too; what they started from is the same.
    assert deployed.aggregator.round("other-half", 1).digests["other-half/global-text"] != first


def test_a_person_can_retry_a_client_before_the_seal(deployed):
    deployed.faults(cap_1={"exit": {"1": 65}}, cap_2={"hang": {"1": 3.0}})
    document = run_document("again", rounds=["plain"], participation={"quorum": "75%", "grace_s": 30})
    deployed.aggregator.create_run(document)

    def failed():
        clients = {c.name: c for c in deployed.aggregator.run("again").status.clients}
        return "cap-1" in clients and clients["cap-1"].state == "Failed"

    deployed.eventually(failed)
    deployed.faults(cap_2={"hang": {"1": 3.0}})
    deployed.aggregator.retry("again", 1, "cap-1")
    run = deployed.wait("again")
    assert run.status.conditions == (), deployed.logs()
    assert entries(deployed, "again", 1)["cap-1"].counted


def test_a_flagged_update_waits_for_a_verdict_and_the_verdict_is_kept(deployed):
    deployed.faults(vqa_1={"poison": {"1": "huge"}})
    admission = {"on_flag": "hold", "max_norm_ratio": 10.0}
    document = run_document("held", rounds=["plain"], admission=admission, participation={"quorum": "75%"})
    deployed.aggregator.create_run(document)
    waiting = lambda: any(c.type == "AwaitingVerdict" for c in deployed.aggregator.run("held").status.conditions)  # noqa: E731
    deployed.eventually(waiting)
    (norms,) = [check for check in deployed.aggregator.round("held", 1).gate if check.flagged]
    assert (norms.kind, norms.mark, norms.flagged) == ("text", "norm_outlier", ("vqa-1",))
    assert norms.values["vqa-1"] > norms.limit == 10.0 * norms.median
    deployed.aggregator.verdict("held", 1, "vqa-1", "drop", "a norm of a million is no training")
    deployed.wait("held")
    (given,) = deployed.aggregator.round("held", 1).verdicts
    assert (given.client, given.verdict, given.by) == ("vqa-1", "drop", "operator")
    assert given.reason == "a norm of a million is no training"
    entry = entries(deployed, "held", 1)["vqa-1"]
    assert (entry.answered, entry.counted, entry.reason) == (True, False, "Refused")
    assert "norm_outlier" in entry.flags


def test_pause_lets_the_round_publish_and_resume_goes_on(deployed):
    deployed.faults(cap_1={"hang": {"1": 1.0}})
    deployed.aggregator.create_run(run_document("paused"))
    deployed.eventually(lambda: deployed.aggregator.run("paused").status.round == 1)
    deployed.aggregator.pause("paused")
    deployed.eventually(lambda: any(c.reason == "Paused" for c in deployed.aggregator.run("paused").status.conditions))
    assert deployed.aggregator.run("paused").status.published == 1
    deployed.aggregator.resume("paused")
    assert deployed.wait("paused").status.phase == "Succeeded"


def test_manual_advance_waits_for_a_trigger_and_the_largest_counts(deployed):
    deployed.aggregator.create_run(run_document("manual", advance="manual"))
    deployed.eventually(lambda: deployed.aggregator.run("manual").status.published == 0)
    deployed.aggregator.trigger("manual", 1)
    deployed.aggregator.trigger("manual", 0)
    deployed.eventually(lambda: deployed.aggregator.run("manual").status.published == 1)
    deployed.eventually(
        lambda: [c.type for c in deployed.aggregator.run("manual").status.conditions] == ["AwaitingTrigger"]
    )
    deployed.aggregator.trigger("manual", "end")
    assert deployed.wait("manual").status.phase == "Succeeded"


def test_cancel_stops_the_jobs_and_keeps_what_was_published(deployed):
    deployed.faults(**{name: {"hang": {"2": 30.0}} for name in ("vqa_1", "vqa_2", "cap_1", "cap_2")})
    deployed.aggregator.create_run(run_document("stopped"))
    deployed.eventually(lambda: deployed.aggregator.run("stopped").status.round == 2)
    deployed.aggregator.cancel("stopped")
    assert deployed.wait("stopped").status.phase == "Cancelled"
    assert deployed.aggregator.round("stopped", 1).state == "Published"
    deployed.aggregator.cancel("stopped")
    with pytest.raises(ApiError) as refused:
        deployed.aggregator.pause("stopped")
    assert refused.value.code == "wrong_phase"


def second_incarnation(environment) -> int:
    """The same attempt, started a second time by hand; its exit code."""
    command = [sys.executable, "-c", "import os, sys, standin; sys.exit(standin.run(dict(os.environ)))"]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(TESTS), **environment}, check=False).returncode


def test_two_incarnations_of_one_client_count_once(deployed):
    deployed.aggregator.create_run(run_document("twins", advance="manual"))
    deployed.eventually(lambda: deployed.aggregator.run("twins").status.published == 0)
    deployed.arm(Boundary.RESULT_RENAMED)
    deployed.aggregator.trigger("twins", "end")
    pid = deployed.eventually(lambda: deployed.stopped_at(Boundary.RESULT_RENAMED))
    jobs = deployed.deployment.state / "aggregator" / "jobs"
    (job,) = [f for f in jobs.iterdir() if (f / "lock").exists() and (f / "lock").read_text() == str(pid)]
    environment = json.loads((job / "spec.json").read_text())["environment"]
    environment |= {"PILOT_INCARNATION": "the-other", "PILOT_TERMINATION_MESSAGE": str(job / "other-termination")}
    assert second_incarnation(environment) == 0
    deployed.release(Boundary.RESULT_RENAMED)
    assert deployed.wait("twins").status.phase == "Succeeded", deployed.logs()
    deployed.run(run_document("alone", advance="auto"))
    assert outcome(deployed, "twins") == outcome(deployed, "alone")


def test_a_zombie_that_commits_after_the_seal_changes_nothing(deployed):
    deployed.aggregator.create_run(
        run_document("zombie", advance="manual", participation={"quorum": "75%", "grace_s": 0, "stall_s": 60})
    )
    deployed.eventually(lambda: deployed.aggregator.run("zombie").status.published == 0)
    deployed.arm(Boundary.ONE_FILE_PUT)
    deployed.aggregator.trigger("zombie", 1)
    deployed.eventually(lambda: deployed.stopped_at(Boundary.ONE_FILE_PUT))
    deployed.eventually(lambda: deployed.aggregator.run("zombie").status.published == 1)
    before = outcome(deployed, "zombie")
    deployed.release(Boundary.ONE_FILE_PUT)
    deployed.aggregator.trigger("zombie", "end")
    assert deployed.wait("zombie").status.phase == "Succeeded", deployed.logs()
    assert outcome(deployed, "zombie")[:2] == before
    assert sum(entry.counted for entry in entries(deployed, "zombie", 1).values()) == 3


def test_the_registry_may_be_away_for_a_while(deployed):
    deployed.faults(cap_1={"hang": {"1": 1.0}})
    deployed.aggregator.create_run(run_document("away"))
    deployed.eventually(lambda: deployed.aggregator.run("away").status.round == 1)
    deployed.kill("registry")
    deployed.restart("registry")
    assert deployed.wait("away").status.phase == "Succeeded", deployed.logs()
