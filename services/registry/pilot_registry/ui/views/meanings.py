"""What the words beside a client mean, and what to do next: codes of the catalogue, and words that name no fault."""

from collections.abc import Iterable

from pilot_proto.base import Stored
from pilot_proto.troubles import TROUBLES


class Meaning(Stored):
    """A word, explained."""

    word: str
    what: str
    next: str


WORDS = {
    "Late": (
        "it was still at work when the round was sealed",
        "nothing; 'participation: {grace_s: ...}' lets a round wait longer for those at work",
    ),
    "Lost": (
        "its last attempt was killed, evicted or stopped, or it never started",
        "its log and the time line say when; before the seal it can be asked again",
    ),
    "Failed": ("its last attempt ended with an error", "its log says which; before the seal it can be asked again"),
    "Flagged": ("it stood out, and this run leaves out what is flagged (on_flag: drop)", "look at what the gate saw"),
    "Refused": ("the gate held it, and a person refused it", "the verdict says why"),
    "norm_outlier": (
        "it is further from what its client was given than the run allows, against the median of the round",
        "look at the client's data and learning rate; a client with unusual data looks the same",
    ),
    "suspicious": (
        "its mean distance to the other updates of its task is larger than the run allows, against their median",
        "compare the client's data with those of its task; a mark is a reason to look, never a proof",
    ),
    "duplicate_content": (
        "its bytes are those of another client's upload, or of an earlier one",
        "ask both owners; a copy counts twice for whoever is near it",
    ),
}
"""Reasons and marks of a ledger that are no codes."""

CODES = {trouble.code: Meaning(word=trouble.code, what=trouble.what, next=trouble.next) for trouble in TROUBLES}
REFUSALS = tuple(trouble.code for trouble in TROUBLES if trouble.where == "admission")
"""With what the registry may refuse an upload."""


def meanings(words: Iterable[str]) -> tuple[Meaning, ...]:
    """Those of the words that are known, each once, sorted."""
    return tuple(found for word in sorted(set(words)) if (found := meaning(word)))


def meaning(word: str) -> Meaning | None:
    """What a word says, if it is one of ours."""
    if word in WORDS:
        what, then = WORDS[word]
        return Meaning(word=word, what=what, next=then)
    return CODES.get(word)
