"""Quorums: how many must answer, of all and of each task. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping

from pilot_proto.run import Participation


def required(participation: Participation, asked: int) -> int:
    """How many of the clients asked must answer. A percentage is rounded up; never more than were asked."""
    quorum = participation.quorum
    if isinstance(quorum, str):
        return -(-asked * int(quorum.removesuffix("%")) // 100)
    return min(quorum, asked)


def missing(participation: Participation, tasks: Mapping[str, str], answered: Iterable[str]) -> str | None:
    """What keeps a set of answers from being a quorum, as a sentence, or None if it is one.

    `tasks` maps every client asked to its task; round 0's `base` has the empty task.
    """
    present = set(answered)
    asked_of = Counter(tasks.values())
    answered_of = Counter(task for client, task in tasks.items() if client in present)
    for task in sorted(asked_of):
        needed = min(participation.quorum_per_task, asked_of[task])
        if answered_of[task] < needed and not task:
            return "the base model could not be prepared"
        if answered_of[task] < needed:
            return f"task {task!r} needs {needed} of its {asked_of[task]} clients and has {answered_of[task]}"
    needed = required(participation, len(tasks))
    if len(present) < needed:
        return (
            f"{needed} of {len(tasks)} clients are needed (quorum {participation.quorum}) and {len(present)} answered"
        )
    return None


def warnings(participation: Participation, tasks: Mapping[str, str]) -> list[str]:
    """What a person should know about a quorum before starting."""
    found = []
    asked = len(tasks)
    if required(participation, asked) == asked and asked > 1:
        found.append(f"quorum {participation.quorum} of {asked} clients: the loss of a single one fails the run")
    for task, count in sorted(Counter(tasks.values()).items()):
        if participation.quorum_per_task >= count > 1:
            found.append(f"quorum_per_task {participation.quorum_per_task}: every client of task {task!r} is needed")
    return found
