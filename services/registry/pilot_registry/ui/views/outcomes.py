"""How a client's part in one round ended, in one word and a reason."""

from pilot_proto.base import Stored
from pilot_proto.plan import LedgerEntry
from pilot_proto.troubles import TROUBLES

WHY = {
    "Failed": "its last attempt failed",
    "Lost": "its job was lost",
    "Late": "it was still at work when the round was sealed",
    "Flagged": "it stood out from its peers, and the run drops such updates",
    "Refused": "a person refused it",
}
"""The words of a ledger that are no codes of the catalogue."""
MEANINGS = {trouble.code: trouble.what for trouble in TROUBLES} | WHY


class Outcome(Stored):
    word: str
    tone: str
    code: str = ""
    """Why it was left out."""
    meaning: str = ""
    """The same in a sentence; empty for a code that is the trainer's own."""


def outcome(entry: LedgerEntry) -> Outcome:
    """As the published ledger has it."""
    if entry.counted:
        return Outcome(word="Counted", tone="good")
    return Outcome(word="Left out", tone="bad", code=entry.reason, meaning=MEANINGS.get(entry.reason, ""))


def outcome_so_far(*, answered: bool, sealed: bool, revoked: bool) -> Outcome:
    """Before a ledger is published, as far as the index tells."""
    if answered:
        return Outcome(word="Answered", tone="work")
    if revoked:
        return Outcome(word="Withdrawn", tone="warning", meaning="the run was cancelled before it answered")
    if sealed:
        return Outcome(word="No answer", tone="warning", meaning="the round is sealed without it")
    return Outcome(word="Asked", tone="")
