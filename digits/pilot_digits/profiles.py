"""Who the clients are: three tasks, and three clients or one for each, in three federations.

`digits`        the data of a task are split at random into three, as the paper does: its clients differ by chance only
`digits-noniid` each client has its own look, its own skew of digits, its own wording and its own mix of questions
`digits-3`      the first client of each task of `digits`, with the same data: few clients, and no two with one task
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pilot_digits.captions import NUM_CAPTIONS
from pilot_digits.handwriting import NUM_CLASSES
from pilot_digits.questions import QUESTION_KINDS
from pilot_digits.scenes import Look

FederationName = Literal["digits", "digits-noniid", "digits-3"]
TaskName = Literal["vqa", "caption", "grounding"]

FEDERATIONS: tuple[FederationName, ...] = ("digits", "digits-noniid", "digits-3")
TASKS: tuple[TaskName, ...] = ("vqa", "caption", "grounding")
CLIENTS_PER_TASK = 3

# A stream of random numbers for each purpose, so that changing one leaves the others alone.
_SKEW_STREAM = 1

_PLAIN = Look(contrast=(0.6, 1.0))
_OWN_LOOKS = (
    Look(sizes=(8,)),
    Look(contrast=(0.35, 0.6), noise=0.08),
    Look(inverted=True),
)
# One row per client of the task; it prefers one kind of question, or one way to caption.
_OWN_QUESTIONS = ((3, 1, 1, 1), (1, 3, 1, 3), (1, 1, 3, 1))
_OWN_CAPTIONS = ((4, 1, 1, 1, 1), (1, 4, 1, 1, 1), (1, 1, 1, 4, 1))
_EVEN: dict[TaskName, tuple[int, ...]] = {
    "vqa": (1,) * len(QUESTION_KINDS),
    "caption": (1,) * NUM_CAPTIONS,
    "grounding": (),
}


@dataclass(frozen=True)
class Profile:
    """What one client's data are drawn from. `mix` weighs kinds of questions (vqa) or captions (caption)."""

    client: str
    task: TaskName
    look: Look
    wording: int
    mix: tuple[int, ...]


def profiles(federation: FederationName, seed: int) -> tuple[Profile, ...]:
    """The clients, task by task."""
    if federation == "digits-3":
        return profiles("digits", seed)[::CLIENTS_PER_TASK]
    places = [(task, number) for task in range(len(TASKS)) for number in range(CLIENTS_PER_TASK)]
    if federation == "digits":
        return tuple(
            Profile(_client(TASKS[task], number), TASKS[task], _PLAIN, 0, _EVEN[TASKS[task]]) for task, number in places
        )
    rng = np.random.default_rng((seed, _SKEW_STREAM))
    return tuple(_own_profile(TASKS[task], number, _own_look(rng, task + number)) for task, number in places)


def _client(task: TaskName, number: int) -> str:
    return f"{task}-{number + 1}"


def _own_look(rng: np.random.Generator, turn: int) -> Look:
    """The looks in turn, so that a look does not give a task away; a digit has at least a fifth of an even share."""
    look = _OWN_LOOKS[turn % len(_OWN_LOOKS)]
    weights = 0.8 * rng.dirichlet(np.full(NUM_CLASSES, 2.0)) + 0.2 / NUM_CLASSES
    return Look(look.sizes, look.contrast, look.noise, look.inverted, tuple(weights.tolist()))


def _own_profile(task: TaskName, number: int, look: Look) -> Profile:
    mixes = {"vqa": _OWN_QUESTIONS, "caption": _OWN_CAPTIONS, "grounding": ((),) * CLIENTS_PER_TASK}
    return Profile(_client(task, number), task, look, number, mixes[task][number])
