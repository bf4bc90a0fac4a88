"""From records to what `decide` and people see."""

from dataclasses import fields

import pytest
from pilot_aggregator.rounds.gate import Measurement
from pilot_aggregator.rounds.observe import client_status, clients_seen, round_flags, run_seen
from pilot_aggregator.store.records import AssignmentRecord, AttemptRecord, RoundRecord
from pilot_proto.assignment import FileRef
from pilot_proto.grant import RoundView
from pilot_proto.run import Progress
from unit.aggregator.world import CLIENTS, NOW, UID, later, published_of, run_record, sealed_of, spec_of, update_of

HOLD = spec_of(admission={"on_flag": "hold", "max_norm_ratio": 2.0})


def round_of(**documents):
    required = {"uid": UID, "number": 1, "program": "stage-1", "started_at": NOW}
    absent = dict.fromkeys(field.name for field in fields(RoundRecord) if field.name not in required)
    return RoundRecord(**{**required, **absent, **documents})


def assignment(client, **values):
    default = {"budget_from": 0, "failure": "", "verdict": None, "verdict_reason": None}
    return AssignmentRecord(UID, 1, client, CLIENTS[client], "", b"", **{**default, **values})


def attempt(client, number=1, state="Running", **values):
    default = {"exit_code": None, "message": "", "intended_at": NOW, "started_at": NOW, "ended_at": None}
    return AttemptRecord(UID, 1, client, number, f"job-{client}-{number}", state, True, **{**default, **values})


def measured(**norms):
    """vqa-1 and so on, with an underscore; everybody at distance one."""
    names = tuple(sorted(name.replace("_", "-") for name in norms))
    values = tuple(norms[name.replace("-", "_")] for name in names)
    return Measurement("euclidean", names, (), values, dict.fromkeys(names, 1.0))


def seen(run=None, round=None, assignments=None, attempts=(), admitted=(), heard=None):
    view = RoundView(admitted=tuple(update_of(client, CLIENTS[client]) for client in admitted))
    records = assignments or [assignment(client) for client in sorted(CLIENTS)]
    found = clients_seen(run or run_record(), round or round_of(), records, attempts, view, heard or {})
    return {client.name: client for client in found}


def status(run=None, *, sealed=False, heard=None, **values):
    run = run or run_record()
    found = seen(run, **values, assignments=[assignment("vqa-1")], heard=heard)["vqa-1"]
    return client_status(run, found, sealed, heard or {})


def test_everybody_asked_is_seen_with_their_own_attempts():
    found = seen(attempts=[attempt("vqa-1", 1, "Lost"), attempt("vqa-1", 2), attempt("vqa-2")])
    assert [a.number for a in found["vqa-1"].attempts] == [1, 2]
    assert [a.state for a in found["vqa-2"].attempts] == ["Running"]
    assert found["cap-1"].attempts == ()


def test_before_the_seal_the_registry_says_who_answered():
    assert {name for name, client in seen(admitted=["vqa-1"]).items() if client.admitted} == {"vqa-1"}


def test_after_the_seal_only_the_sealed_set_counts():
    round = round_of(sealed=sealed_of({"vqa-2": "vqa"}))
    assert {name for name, client in seen(round=round, admitted=["vqa-1"]).items() if client.admitted} == {"vqa-2"}


def test_progress_is_seen_with_the_moment_it_came():
    found = seen(attempts=[attempt("vqa-1")], heard={"vqa-1": (Progress(step=3), later(40))})
    assert found["vqa-1"].attempts[0].progress_at == later(40)
    assert seen(attempts=[attempt("vqa-1")])["vqa-1"].attempts[0].progress_at is None


def test_flags_are_joined_over_the_kinds_of_adapters():
    outlier = measured(cap_1=1.0, vqa_1=1.0, vqa_2=9.0)
    other = measured(cap_1=9.0, vqa_1=1.0, vqa_2=1.0)
    round = round_of(sealed=sealed_of(CLIENTS), measured={"text": outlier, "connector": other})
    assert round_flags(run_record(spec=HOLD), round) == {"cap-1": ("norm_outlier",), "vqa-2": ("norm_outlier",)}


def test_without_a_measurement_there_are_no_flags():
    assert round_flags(run_record(), round_of()) == {}
    assert round_flags(run_record(), round_of(sealed=sealed_of(CLIENTS), measured={})) == {}


FLAGGED = round_of(sealed=sealed_of(CLIENTS), measured={"text": measured(cap_1=1.0, vqa_1=9.0, vqa_2=1.0)})


@pytest.mark.parametrize(
    ("policy", "given", "verdict"),
    [
        ("hold", None, None),
        ("hold", "drop", "drop"),
        ("hold", "count", "count"),
        ("drop", None, "drop"),
        ("count", None, "count"),
        ("count", "drop", "count"),
    ],
)
def test_a_verdict_is_a_persons_only_where_updates_are_held(policy, given, verdict):
    run = run_record(spec=spec_of(admission={"on_flag": policy, "max_norm_ratio": 2.0}))
    found = seen(run, FLAGGED, [assignment("vqa-1", verdict=given)])["vqa-1"]
    assert (found.flagged, found.verdict) == (True, verdict)


def test_a_run_is_seen_with_its_wishes_and_its_limits():
    run = run_record(spec=HOLD, paused=True, cancelling=True, through=2, published=1, phase="Merging")
    found = run_seen(run, None, [], later(-5))
    assert (found.paused, found.cancelling, found.hold_flagged) == (True, True, True)
    assert (found.through, found.published, found.last_round, found.phase) == (2, 1, 4, "Merging")
    assert (found.round, found.up_since) == (None, later(-5))


@pytest.mark.parametrize(
    ("documents", "mark"),
    [
        ({"sealed": sealed_of(CLIENTS)}, "sealed"),
        ({"measured": {}}, "measured"),
        ({"merged": {}}, "merged"),
        ({"merged": {"t/global-text": FileRef(digest="sha256:" + "0" * 64, size=1)}}, "merged"),
        ({"publication": published_of(1, [])}, "published"),
    ],
)
def test_a_step_is_done_when_its_document_is_there_even_if_it_is_empty(documents, mark):
    marks = ("sealed", "measured", "planned", "merged", "published")
    round = run_seen(run_record(), round_of(**documents), [], NOW).round
    assert [name for name in marks if getattr(round, name)] == [mark]


STATES = {
    "nobody was launched yet": ([], {}, "Waiting"),
    "a job is intended": ([attempt("vqa-1", state="Intended")], {}, "Waiting"),
    "a job is queued": ([attempt("vqa-1", state="Queued")], {}, "Queued"),
    "a job runs": ([attempt("vqa-1")], {}, "Running"),
    "a lost job is tried again": ([attempt("vqa-1", state="Lost")], {}, "Waiting"),
    "a fatal exit": ([attempt("vqa-1", state="Failed", exit_code=65)], {}, "Failed"),
    "all attempts are lost": ([attempt("vqa-1", n, "Lost") for n in (1, 2, 3)], {}, "Lost"),
    "its update is in": ([attempt("vqa-1")], {"admitted": ["vqa-1"]}, "Answered"),
}


@pytest.mark.parametrize(("attempts", "values", "state"), STATES.values(), ids=STATES)
def test_the_state_that_people_see(attempts, values, state):
    assert status(attempts=attempts, **values).state == state


@pytest.mark.parametrize(
    ("last", "state"), [("Stopped", "Lost"), ("Lost", "Lost"), ("Failed", "Failed"), (None, "Lost")]
)
def test_after_the_seal_who_is_not_in_is_lost_or_failed(last, state):
    attempts = [attempt("vqa-1", state=last)] if last else []
    round = round_of(sealed=sealed_of({"vqa-2": "vqa"}))
    assert status(sealed=True, round=round, attempts=attempts).state == state


@pytest.mark.parametrize(("verdict", "state"), [(None, "Held"), ("drop", "Excluded"), ("count", "Answered")])
def test_a_held_update_is_shown_as_what_was_decided(verdict, state):
    run = run_record(spec=HOLD)
    found = seen(run, FLAGGED, [assignment("vqa-1", verdict=verdict)])["vqa-1"]
    assert client_status(run, found, True, {}).state == state


def test_a_status_has_the_newest_attempt_the_reason_and_the_progress():
    heard = {"vqa-1": (Progress(step=3, total_steps=9), NOW)}
    run = run_record()
    records = [assignment("vqa-1", failure="bad_data: record 7 has no image")]
    found = seen(run, assignments=records, attempts=[attempt("vqa-1", 1, "Lost"), attempt("vqa-1", 2)], heard=heard)
    shown = client_status(run, found["vqa-1"], False, heard)
    assert (shown.attempt, shown.reason) == (2, "bad_data")
    assert shown.message == "bad_data: record 7 has no image"
    assert shown.progress.step == 3


def test_who_answered_shows_no_progress():
    heard = {"vqa-1": (Progress(step=3), NOW)}
    assert status(attempts=[attempt("vqa-1")], admitted=["vqa-1"], heard=heard).progress is None
