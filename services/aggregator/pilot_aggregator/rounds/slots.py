"""Which published adapter is whose: the outputs of the rounds so far, by slot.

A slot is `kind/base`, `kind/global`, `kind/task/NAME` or `kind/client/NAME`. A client takes the most personal one
that has been published; so a rule decides what everybody receives by what it makes.
"""

from collections.abc import Mapping

from pilot_proto.assignment import AdapterRef
from pilot_proto.names import Kind, base_repo, client_repo, global_repo, task_repo

Slots = Mapping[str, AdapterRef]


def base_slot(kind: Kind) -> str:
    return f"{kind}/base"


def global_slot(kind: Kind) -> str:
    return f"{kind}/global"


def task_slot(kind: Kind, task: str) -> str:
    return f"{kind}/task/{task}"


def client_slot(kind: Kind, client: str) -> str:
    return f"{kind}/client/{client}"


def for_client(slots: Slots, kind: Kind, client: str, task: str) -> AdapterRef:
    """What a client starts a round from."""
    return _first(slots, client_slot(kind, client), task_slot(kind, task), global_slot(kind), base_slot(kind))


def for_task(slots: Slots, kind: Kind, task: str) -> AdapterRef:
    """The adapter that stands for a task."""
    return _first(slots, task_slot(kind, task), global_slot(kind), base_slot(kind))


def repo_of(run: str, slot: str) -> str:
    """Where the outputs for a slot are published."""
    kind, scope, *name = slot.split("/")
    if scope == "base":
        return base_repo(run, kind)
    if scope == "global":
        return global_repo(run, kind)
    return (task_repo if scope == "task" else client_repo)(run, name[0], kind)


def _first(slots: Slots, *wanted: str) -> AdapterRef:
    return next(slots[slot] for slot in wanted if slot in slots)
