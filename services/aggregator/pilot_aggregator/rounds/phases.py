"""The life of a run as data: which phase may follow which, and what each verb may do in each."""

from collections.abc import Mapping
from typing import Literal

from pilot_proto.run import TERMINAL, Phase
from pilot_proto.training import Program

Verb = Literal["trigger", "pause", "resume", "cancel", "retry", "verdict"]
VERBS: tuple[Verb, ...] = ("trigger", "pause", "resume", "cancel", "retry", "verdict")

NEXT: Mapping[Phase, frozenset[Phase]] = {
    "Preparing": frozenset({"Merging", "Training", "Failed", "Cancelled"}),
    "Training": frozenset({"Merging", "Failed", "Cancelled"}),
    "Merging": frozenset({"Training", "Evaluating", "Succeeded", "Failed", "Cancelled"}),
    "Evaluating": frozenset({"Succeeded", "Failed", "Cancelled"}),
    "Succeeded": frozenset(),
    "Failed": frozenset(),
    "Cancelled": frozenset(),
}
"""Every edge of the diagram in docs/rounds.md. Round 0 is `Preparing` until its inputs are sealed."""

ALLOWED: Mapping[Verb, frozenset[Phase]] = {
    "trigger": frozenset({"Preparing", "Training", "Merging", "Evaluating"}),
    "pause": frozenset({"Preparing", "Training", "Merging", "Evaluating"}),
    "resume": frozenset({"Preparing", "Training", "Merging", "Evaluating"}),
    "cancel": frozenset({"Preparing", "Training", "Merging", "Evaluating"}),
    "retry": frozenset({"Preparing", "Training", "Evaluating"}),
    "verdict": frozenset({"Merging"}),
}
"""In which phases a verb means something. Elsewhere it is a conflict, except a verb that changes nothing."""

IDEMPOTENT: Mapping[Verb, Phase] = {"cancel": "Cancelled"}
"""A verb whose wish is already fulfilled by a phase."""


def refusal(verb: Verb, phase: Phase) -> str | None:
    """Why a verb cannot be obeyed in a phase, or None if it can."""
    if phase in ALLOWED[verb] or IDEMPOTENT.get(verb) == phase:
        return None
    if phase in TERMINAL:
        return f"the run has ended ({phase}); start a new one with start_from"
    possible = ", ".join(sorted(ALLOWED[verb]))
    return f"{verb} does nothing while the run is {phase}; it is possible in: {possible}"


def working_phase(program: Program, *, sealed: bool) -> Phase:
    """The phase of a run that works on a round."""
    if program == "evaluate":
        return "Evaluating"
    if sealed:
        return "Merging"
    return "Preparing" if program == "prepare" else "Training"
