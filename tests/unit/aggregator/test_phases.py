"""Phase x verb, as a table, and the diagram of phases as a graph."""

from itertools import pairwise
from typing import get_args

import pytest
from pilot_aggregator.rounds.phases import NEXT, VERBS, refusal, working_phase
from pilot_proto.run import TERMINAL, Phase

PHASES = get_args(Phase)
ACTIVE = ("Preparing", "Training", "Merging", "Evaluating")

# What a verb may do in each phase: y yes, n no.
TABLE = {
    #           Preparing Training Merging Evaluating Succeeded Failed Cancelled
    "trigger": "y y y y n n n",
    "pause": "y y y y n n n",
    "resume": "y y y y n n n",
    "cancel": "y y y y n n y",
    "retry": "y y n y n n n",
    "verdict": "n n y n n n n",
}
CASES = [
    (verb, phase, mark == "y") for verb, row in TABLE.items() for phase, mark in zip(PHASES, row.split(), strict=True)
]


def test_the_table_knows_every_verb():
    assert set(TABLE) == set(VERBS)


@pytest.mark.parametrize(("verb", "phase", "possible"), CASES)
def test_verb_in_phase(verb, phase, possible):
    assert (refusal(verb, phase) is None) is possible


def test_a_refusal_in_an_ended_run_names_the_way_on():
    assert refusal("pause", "Failed") == "the run has ended (Failed); start a new one with start_from"


def test_a_refusal_in_an_active_run_names_the_phases_in_which_it_is_possible():
    assert (
        refusal("verdict", "Training") == "verdict does nothing while the run is Training; it is possible in: Merging"
    )


def test_the_diagram_has_every_phase():
    assert set(NEXT) == set(PHASES)


def test_only_ended_phases_have_no_successor():
    assert {phase for phase, following in NEXT.items() if not following} == TERMINAL


def test_every_phase_is_reachable_from_the_first():
    reached, edge = {"Preparing"}, {"Preparing"}
    while edge:
        edge = {following for phase in edge for following in NEXT[phase]} - reached
        reached |= edge
    assert reached == set(PHASES)


@pytest.mark.parametrize("phase", ACTIVE)
def test_every_active_phase_can_fail_and_be_cancelled(phase):
    assert {"Failed", "Cancelled"} <= NEXT[phase]


WORKING = {
    ("prepare", False): "Preparing",
    ("prepare", True): "Merging",
    ("plain", False): "Training",
    ("plain", True): "Merging",
    ("stage-1", False): "Training",
    ("stage-1", True): "Merging",
    ("stage-2", False): "Training",
    ("stage-2", True): "Merging",
    ("evaluate", False): "Evaluating",
    ("evaluate", True): "Evaluating",
}


@pytest.mark.parametrize(("work", "phase"), WORKING.items())
def test_the_phase_of_a_round_at_work(work, phase):
    program, sealed = work
    assert working_phase(program, sealed=sealed) == phase


def test_a_round_at_work_only_takes_edges_of_the_diagram():
    """prepare, train, merge, train, merge, evaluate, with and without sealing in between."""
    steps = [("prepare", False), ("prepare", True), ("stage-1", False), ("stage-1", True), ("stage-2", False)]
    steps += [("stage-2", True), ("evaluate", False), ("evaluate", True)]
    phases = [working_phase(program, sealed=sealed) for program, sealed in steps]
    for phase, following in pairwise(phases):
        assert following == phase or following in NEXT[phase]
