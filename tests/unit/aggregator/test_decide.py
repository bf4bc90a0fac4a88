"""Situation in, decision out: every branch of `decide`, as a table."""

from dataclasses import replace

import pytest
from pilot_aggregator.rounds import decide as d
from pilot_proto.run import Participation
from unit.aggregator.world import NOW, later

POLICY = Participation(
    quorum="100%", start_deadline_s=100, stall_s=50, deadline_s=1000, grace_s=30, attempts=2, evictions=2
)
HALF = POLICY.model_copy(update={"quorum": "50%"})
ONE = POLICY.model_copy(update={"quorum": 1, "quorum_per_task": 0})


def attempt(number=1, state="Running", exit_code=None, intended=0, started=None, progress=None):
    moments = [None if s is None else later(s) for s in (started, progress)]
    return d.AttemptSeen(number, state, later(intended), exit_code, *moments)


def client(name, *attempts, task="vqa", **values):
    return d.ClientSeen(name, task, attempts=attempts, **values)


def answered(name, task="vqa", **values):
    return client(name, attempt(state="Succeeded", exit_code=0), task=task, admitted=True, **values)


def working(name, task="vqa", **values):
    return client(name, attempt(started=0, **values), task=task)


def lost(name, task="vqa", **values):
    """Both attempts spent."""
    return client(name, attempt(1, "Lost"), attempt(2, "Lost"), task=task, **values)


def at_round(*clients, number=1, program="plain", **values):
    return d.RoundSeen(number, program, NOW, clients, **values)


def seen(round=None, **values):
    default = {
        "phase": "Training",
        "participation": POLICY,
        "hold_flagged": False,
        "last_round": 3,
        "published": 0,
        "through": 3,
        "up_since": NOW,
    }
    return d.RunSeen(**{**default, **values}, round=round)


def sealed(*clients, **values):
    return at_round(*clients, sealed=True, **values)


BETWEEN = {
    "a new run opens round 0": (seen(published=-1), d.OpenRound(0)),
    "a published round is followed by the next": (seen(published=1), d.OpenRound(2)),
    "a round that is seen as published is over": (seen(at_round(published=True), published=1), d.OpenRound(2)),
    "the last published round ends the run": (seen(published=3), d.Finish()),
    "a run that is over ends even when paused": (seen(published=3, paused=True), d.Finish()),
    "a paused run waits between rounds": (seen(paused=True), d.Wait("Paused")),
    "a run waits for its trigger": (seen(through=0), d.Wait("AwaitingTrigger")),
    "round 0 needs no trigger": (seen(published=-1, through=0), d.OpenRound(0)),
    "a triggered round opens": (seen(published=0, through=1), d.OpenRound(1)),
    "a pause outweighs a trigger that is missing": (seen(paused=True, through=0), d.Wait("Paused")),
    "a run that succeeded is left alone": (seen(phase="Succeeded", cancelling=True), d.Wait()),
    "a run that failed is left alone": (seen(phase="Failed", published=-1), d.Wait()),
    "a run that was cancelled is left alone": (seen(phase="Cancelled", cancelling=True), d.Wait()),
}

CANCELLING = {
    "cancel between rounds": (seen(cancelling=True), d.Cancel()),
    "cancel while clients work": (seen(at_round(working("a")), cancelling=True), d.Cancel()),
    "cancel outweighs a quorum": (seen(at_round(answered("a")), cancelling=True), d.Cancel()),
    "cancel after the seal": (seen(sealed(answered("a")), cancelling=True), d.Cancel()),
    "cancel before the merge ends": (
        seen(sealed(answered("a"), measured=True, planned=True), cancelling=True),
        d.Cancel(),
    ),
    "cancel loses to a merge that is done": (
        seen(sealed(answered("a"), measured=True, planned=True, merged=True), cancelling=True),
        d.Publish(),
    ),
    "cancel comes after that publish": (
        seen(
            sealed(answered("a"), measured=True, planned=True, merged=True, published=True),
            published=1,
            cancelling=True,
        ),
        d.Cancel(),
    ),
    "a paused run can be cancelled": (seen(cancelling=True, paused=True), d.Cancel()),
}

COLLECTING = {
    "clients without an attempt are launched together": (
        seen(at_round(client("a"), client("b"))),
        d.Launch(("a", "b")),
    ),
    "a running client is left alone": (seen(at_round(working("a"), client("b"))), d.Launch(("b",))),
    "a lost attempt is tried again": (seen(at_round(client("a", attempt(state="Lost")))), d.Launch(("a",))),
    "a failed attempt is tried again": (
        seen(at_round(client("a", attempt(state="Failed", exit_code=75)))),
        d.Launch(("a",)),
    ),
    "a job that ended well without an update is tried again": (
        seen(at_round(client("a", attempt(state="Succeeded", exit_code=0)))),
        d.Launch(("a",)),
    ),
    "a client waits while its second attempt works": (
        seen(at_round(client("a", attempt(1, "Lost"), attempt(2, "Queued")))),
        d.Wait(),
    ),
    "everybody answered": (seen(at_round(answered("a"), answered("b"))), d.Seal()),
    "everybody answered although an attempt is still at work": (
        seen(at_round(replace(working("a"), admitted=True))),
        d.Seal(),
    ),
    "nobody is left to wait for and there is a quorum": (
        seen(at_round(answered("a"), lost("b")), participation=HALF),
        d.Seal(),
    ),
    "a pause lets the round at work go on": (seen(at_round(client("a")), paused=True), d.Launch(("a",))),
    "the quorum is noted before the grace begins": (
        seen(at_round(answered("a"), working("b")), participation=HALF),
        d.NoteQuorum(),
    ),
    "a quorum waits for the grace": (
        seen(at_round(answered("a"), working("b"), quorum_at=later(-29)), participation=HALF),
        d.Wait(),
    ),
    "the grace is over": (
        seen(at_round(answered("a"), working("b"), quorum_at=later(-30)), participation=HALF, up_since=later(-99)),
        d.Seal(),
    ),
    "a restart gives the grace again": (
        seen(at_round(answered("a"), working("b"), quorum_at=later(-30)), participation=HALF, up_since=later(-29)),
        d.Wait(),
    ),
    "a quorum is not noted twice": (
        seen(at_round(answered("a"), working("b"), quorum_at=NOW), participation=HALF),
        d.Wait(),
    ),
    "without a quorum the others are awaited": (seen(at_round(answered("a"), working("b"))), d.Wait()),
    "the grace does not stop a client from being launched": (
        seen(at_round(answered("a"), client("b"), quorum_at=later(-5)), participation=HALF),
        d.Launch(("b",)),
    ),
}


@pytest.mark.parametrize(("situation", "decision"), BETWEEN.values(), ids=BETWEEN)
def test_between_rounds(situation, decision):
    assert d.decide(situation, NOW) == decision


@pytest.mark.parametrize(("situation", "decision"), CANCELLING.values(), ids=CANCELLING)
def test_cancel(situation, decision):
    assert d.decide(situation, NOW) == decision


@pytest.mark.parametrize(("situation", "decision"), COLLECTING.values(), ids=COLLECTING)
def test_while_updates_come_in(situation, decision):
    assert d.decide(situation, NOW) == decision


OVERDUE = {
    "a pending attempt may wait until the start deadline": (attempt(state="Pending"), 100, d.Wait()),
    "a pending attempt is lost after the start deadline": (
        attempt(state="Pending"),
        101,
        d.Stop(("a",), "StartDeadline"),
    ),
    "a pending attempt's time begins when it leaves the queue": (
        attempt(state="Pending", started=90),
        190,
        d.Wait(),
    ),
    "a queued attempt waits for its turn as long as it takes": (attempt(state="Queued"), 999, d.Wait()),
    "an attempt that cannot be seen is not given up": (attempt(state="Unknown", started=0), 999, d.Wait()),
    "an intended attempt is lost after the start deadline": (
        attempt(state="Intended"),
        101,
        d.Stop(("a",), "StartDeadline"),
    ),
    "a running attempt has no start deadline": (attempt(started=99, progress=99), 101, d.Wait()),
    "a silent attempt is stalled": (attempt(started=0), 51, d.Stop(("a",), "Stalled")),
    "progress keeps an attempt alive": (attempt(started=0, progress=20), 70, d.Wait()),
    "progress that ended stalls": (attempt(started=0, progress=20), 71, d.Stop(("a",), "Stalled")),
    "without a start the intent counts": (attempt(), 51, d.Stop(("a",), "Stalled")),
    "progress of an earlier attempt does not age this one": (
        attempt(2, intended=90, started=95, progress=10),
        120,
        d.Wait(),
    ),
}


@pytest.mark.parametrize(("last", "moment", "decision"), OVERDUE.values(), ids=OVERDUE)
def test_deadlines_of_an_attempt(last, moment, decision):
    assert d.decide(seen(at_round(client("a", last))), later(moment)) == decision


@pytest.mark.parametrize(("state", "limit"), [("Pending", 100), ("Running", 50)])
def test_a_restart_gives_every_attempt_its_time_again(state, limit):
    situation = seen(at_round(client("a", attempt(state=state))), up_since=later(500))
    assert d.decide(situation, later(500 + limit)) == d.Wait()
    assert isinstance(d.decide(situation, later(501 + limit)), d.Stop)


def test_overdue_attempts_are_stopped_together_and_before_anybody_is_launched():
    round = at_round(client("a", attempt(state="Intended")), client("b", attempt(state="Pending")), client("c"))
    assert d.decide(seen(round), later(200)) == d.Stop(("a", "b"), "StartDeadline")


def test_a_client_that_answered_is_not_overdue():
    still_open = replace(client("a", attempt(state="Running")), admitted=True)
    situation = seen(at_round(still_open, working("b", progress=499)))
    assert d.decide(situation, later(500)) == d.Wait()


def test_the_round_seals_at_its_deadline_if_it_has_a_quorum():
    policy = HALF.model_copy(update={"grace_s": 5000})
    round = at_round(answered("a"), working("b", progress=999), quorum_at=later(10))
    situation = seen(round, participation=policy, up_since=later(-6000))
    assert d.decide(situation, later(999)) == d.Wait()
    assert d.decide(situation, later(1000)) == d.Seal()


def test_the_round_fails_at_its_deadline_without_a_quorum_and_says_what_is_missing():
    situation = seen(at_round(answered("a"), working("b", progress=999)))
    assert d.decide(situation, later(999)) == d.Wait()
    failed = d.decide(situation, later(1000))
    assert isinstance(failed, d.Fail)
    assert failed.reason == "QuorumMissed"
    assert "deadline" in failed.message
    assert "2 of 2 clients are needed" in failed.message
    assert failed.message.endswith("without an update: b")


def test_after_a_restart_the_deadline_is_at_least_the_grace_away():
    situation = seen(at_round(answered("a"), working("b", progress=999)), up_since=later(990))
    assert d.decide(situation, later(1019)) == d.Wait()
    assert isinstance(d.decide(situation, later(1020)), d.Fail)


@pytest.mark.parametrize("code", sorted(d.FATAL_EXITS))
def test_an_exit_that_would_come_again_is_not_tried_again(code):
    fatal = client("a", attempt(state="Failed", exit_code=code), reason="bad_data: no images")
    failed = d.decide(seen(at_round(fatal, working("b"))), NOW)
    assert isinstance(failed, d.Fail)
    assert "a (bad_data: no images)" in failed.message


@pytest.mark.parametrize("code", [1, 75, 137])
def test_other_exits_are_tried_again(code):
    assert d.decide(seen(at_round(client("a", attempt(state="Failed", exit_code=code)))), NOW) == d.Launch(("a",))


def test_an_attempt_after_a_fatal_one_counts_for_itself():
    again = client("a", attempt(1, "Failed", exit_code=65), attempt(2, "Running", started=0), budget_from=1)
    assert d.decide(seen(at_round(again)), NOW) == d.Wait()


BUDGET = {
    "one attempt of two is spent": ([("Lost", None)], 0, False),
    "both are spent": ([("Lost", None), ("Failed", 1)], 0, True),
    "an attempt without an update is spent": ([("Succeeded", 0), ("Succeeded", 0)], 0, True),
    "the last one is still at work": ([("Lost", None), ("Running", None)], 0, False),
    "evictions cost nothing": ([("Disrupted", None), ("Disrupted", None), ("Lost", None)], 0, False),
    "evictions are capped": ([("Disrupted", None)] * 3, 0, True),
    "a retry forgives what was before": ([("Lost", None), ("Lost", None)], 2, False),
    "a retry forgives a fatal exit": ([("Failed", 64)], 1, False),
    "a retry gives a whole budget": ([("Lost", None)] * 3, 2, False),
    "a budget after a retry ends too": ([("Lost", None)] * 4, 2, True),
    "a fatal exit before a retried one counts no more": ([("Failed", 64), ("Failed", 1)], 1, False),
    "nothing was tried": ([], 0, False),
}


@pytest.mark.parametrize(("attempts", "budget_from", "over"), BUDGET.values(), ids=BUDGET)
def test_the_budget_of_attempts(attempts, budget_from, over):
    tried = [attempt(n, state, code) for n, (state, code) in enumerate(attempts, 1)]
    assert d.given_up(client("a", *tried, budget_from=budget_from), POLICY) is over


def test_a_client_that_a_person_asked_to_retry_is_launched():
    assert d.decide(seen(at_round(lost("a", budget_from=2), working("b"))), NOW) == d.Launch(("a",))


QUORUMS = {
    "all of two, one lost": (POLICY, [answered("a"), lost("b")], False),
    "half of two, one lost": (HALF, [answered("a"), lost("b")], True),
    "half of three is rounded up": (HALF, [answered("a"), lost("b"), lost("c")], False),
    "a count": (ONE, [answered("a"), lost("b"), lost("c")], True),
    "a count of nobody": (ONE, [lost("a"), lost("b")], False),
    "a count above the clients means all": (
        POLICY.model_copy(update={"quorum": 9}),
        [answered("a"), answered("b")],
        True,
    ),
    "every task needs one": (HALF, [answered("a"), lost("b", task="caption")], False),
    "unless it does not": (ONE, [answered("a"), lost("b", task="caption")], True),
    "two of a task": (
        HALF.model_copy(update={"quorum_per_task": 2}),
        [answered("a"), lost("b"), answered("c", task="caption"), answered("e", task="caption")],
        False,
    ),
    "two of a task that has one": (
        HALF.model_copy(update={"quorum_per_task": 2}),
        [answered("a"), answered("b"), answered("c", task="caption")],
        True,
    ),
}


@pytest.mark.parametrize(("policy", "clients", "reached"), QUORUMS.values(), ids=QUORUMS)
def test_quorum_when_nobody_is_left_to_wait_for(policy, clients, reached):
    decision = d.decide(seen(at_round(*clients), participation=policy), NOW)
    assert decision == d.Seal() if reached else isinstance(decision, d.Fail)


def test_a_task_that_cannot_reach_its_quorum_fails_the_run_at_once_and_is_named():
    gone = lost("b", task="caption", reason="bad_data: 3 of 9 records")
    failed = d.decide(seen(at_round(working("a"), gone), participation=HALF), NOW)
    assert isinstance(failed, d.Fail)
    assert failed.reason == "QuorumMissed"
    assert "task 'caption' needs 1 of its 1 clients and has 0" in failed.message
    assert "b (bad_data: 3 of 9 records)" in failed.message


@pytest.mark.parametrize("clients", [(lost("a"), lost("b")), (answered("a"), lost("b"))])
def test_an_evaluation_that_lost_clients_seals_with_what_there_is(clients):
    assert d.decide(seen(at_round(*clients, program="evaluate"), phase="Evaluating"), NOW) == d.Seal()


def test_an_evaluation_without_hope_for_a_quorum_still_hears_those_at_work():
    round = at_round(lost("a"), working("b"), client("c"), program="evaluate")
    situation = seen(round, phase="Evaluating")
    assert d.decide(situation, NOW) == d.Launch(("c",))
    waiting = at_round(lost("a"), working("b", progress=999), program="evaluate")
    assert d.decide(seen(waiting, phase="Evaluating"), later(999)) == d.Wait()
    assert d.decide(seen(waiting, phase="Evaluating"), later(1000)) == d.Seal()


FLAGGED = answered("b", flagged=True)
AFTER_SEAL = {
    "a sealed round is measured": (seen(sealed(answered("a"))), d.Measure()),
    "a measured round is planned": (seen(sealed(answered("a"), measured=True)), d.Plan()),
    "a planned round is merged": (seen(sealed(answered("a"), measured=True, planned=True)), d.Merge()),
    "a merged round is published": (
        seen(sealed(answered("a"), measured=True, planned=True, merged=True)),
        d.Publish(),
    ),
    "a pause does not stop a sealed round": (seen(sealed(answered("a")), paused=True), d.Measure()),
    "a flagged update is held": (
        seen(sealed(answered("a"), FLAGGED, measured=True), hold_flagged=True),
        d.Wait("AwaitingVerdict", ("b",)),
    ),
    "all held updates are named": (
        seen(sealed(FLAGGED, answered("c", flagged=True), measured=True), hold_flagged=True),
        d.Wait("AwaitingVerdict", ("b", "c")),
    ),
    "a flag without a hold counts": (seen(sealed(answered("a"), FLAGGED, measured=True)), d.Plan()),
    "a verdict that counts lets the round go on": (
        seen(sealed(answered("a"), replace(FLAGGED, verdict="count"), measured=True), hold_flagged=True),
        d.Plan(),
    ),
    "a verdict that drops lets the round go on if a quorum is left": (
        seen(
            sealed(answered("a"), replace(FLAGGED, verdict="drop"), measured=True),
            hold_flagged=True,
            participation=HALF,
        ),
        d.Plan(),
    ),
    "a verdict on an update that bears no flag drops nobody": (
        seen(sealed(answered("a"), answered("b", verdict="drop"), measured=True)),
        d.Plan(),
    ),
    "nobody is dropped after the plan is stored": (
        seen(sealed(replace(FLAGGED, verdict="drop"), measured=True, planned=True)),
        d.Merge(),
    ),
}


@pytest.mark.parametrize(("situation", "decision"), AFTER_SEAL.values(), ids=AFTER_SEAL)
def test_after_the_seal(situation, decision):
    assert d.decide(situation, NOW) == decision


def test_dropping_flagged_updates_below_the_quorum_fails_the_run():
    dropped = sealed(answered("a"), replace(FLAGGED, verdict="drop"), measured=True)
    failed = d.decide(seen(dropped, hold_flagged=True), NOW)
    assert failed == d.Fail("QuorumMissed", "2 of 2 clients are needed (quorum 100%) and 1 answered")


def test_a_sealed_round_that_lost_clients_needs_no_quorum_again():
    # What was sealed with a quorum stays so; only dropped flags are asked about.
    assert d.decide(seen(sealed(answered("a"), lost("b"), measured=True)), NOW) == d.Plan()
