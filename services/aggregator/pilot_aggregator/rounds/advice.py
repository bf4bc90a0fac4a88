"""What a person should know before starting a run: what its settings come to with these clients. Pure.

Nothing here stops a run. Each line says what a rule or a quorum degenerates to, or what a start brings with it.
"""

from collections import Counter
from collections.abc import Sequence

from pilot_proto.federation import Client
from pilot_proto.run import Rule, RunSpec

from pilot_aggregator.rounds.continuation import Source
from pilot_aggregator.rounds.participation import warnings as quorum_warnings


def advice(spec: RunSpec, clients: Sequence[Client], source: Source | None = None) -> list[str]:
    """Every line worth reading, the rules first."""
    tasks = Counter(client.task for client in clients)
    return [
        *_alone(spec, clients),
        *_connector(spec.merge.connector, tasks, len(clients)),
        *_text(spec.merge.text, tasks, len(clients)),
        *_stages(spec, tasks),
        *quorum_warnings(spec.participation, {client.name: client.task for client in clients}),
        *_branches(spec),
        *(_going_on(spec, clients, source) if source else ()),
    ]


def _alone(spec: RunSpec, clients: Sequence[Client]) -> list[str]:
    if len(clients) != 1:
        return []
    return [
        f"one client: every rule gives {clients[0].name!r} its own adapters back; this is local training in "
        f"{len(spec.rounds)} rounds, and nothing is federated"
    ]


def _connector(rule: Rule, tasks: Counter[str], clients: int) -> list[str]:
    if rule.rule != "per-task-mean" or clients == 1:
        return []
    if len(tasks) == 1:
        return ["one task: per-task-mean of the connector is the mean of everybody"]
    if set(tasks.values()) == {1}:
        return [
            "every task has one client: per-task-mean is the identity, and each client's own connector, as it is, "
            "stands for its task with everybody"
        ]
    return [
        f"task {task!r} has one client: its task adapter is that client's own, as it is, for everybody"
        for task, count in sorted(tasks.items())
        if count == 1
    ]


def _text(rule: Rule, tasks: Counter[str], clients: int) -> list[str]:
    if clients == 1:
        return []
    if rule.rule == "nearest":
        return [*_nearest(rule, clients), *_nobody_of_the_task(rule, tasks)]
    if rule.rule == "same-task":
        return [
            f"task {task!r} has one client: same-task leaves its text adapter as it is"
            for task, count in sorted(tasks.items())
            if count == 1
        ]
    return []


def _nearest(rule: Rule, clients: int) -> list[str]:
    others = clients - 1
    wanted = others if rule.neighbours is None else rule.neighbours
    if wanted == 0:
        return ["neighbours 0: the text adapters are not merged at all"]
    if wanted < others:
        return []
    if others == 1:
        return [
            f"neighbours {wanted} of 1 other: there is nobody to choose, so distances decide nothing; each text "
            "adapter becomes the mean of the two, weighted by samples"
        ]
    return [
        f"neighbours {wanted} of {others} others: everybody is a neighbour of everybody, of other tasks too; "
        f"distances only weigh, and 'neighbours: {max(1, others // 2)}' would choose"
    ]


def _nobody_of_the_task(rule: Rule, tasks: Counter[str]) -> list[str]:
    if rule.neighbours == 0 or set(tasks.values()) != {1}:
        return []
    return [
        "no two clients share a task: text adapters are mixed with those of other tasks only; on digits-3 no merge of "
        "them (M = 0) measured better than M = 1 or 2, see docs/few-clients.md"
    ]


def _stages(spec: RunSpec, tasks: Counter[str]) -> list[str]:
    if "stage-2" in spec.rounds and len(tasks) == 1:
        return ["one task: stage-2 has no other task's adapters to mix; its router chooses among one"]
    return []


def _branches(spec: RunSpec) -> list[str]:
    adapter = spec.training.connector.client_adapter
    if "stage-1" in spec.rounds and adapter.init == "copy" and adapter.jitter == 0:
        return [
            "client_adapter: an exact copy receives the same gradients as the task adapter and never separates "
            "from it; give jitter, or another init"
        ]
    return []


def _going_on(spec: RunSpec, clients: Sequence[Client], source: Source) -> list[str]:
    here = {client.name for client in clients}
    states = {name: found[-1].program for name, found in source.accepted.items() if found and name in here}
    found = []
    if spec.rounds[0] == "stage-2":
        first = sorted(client.name for client in clients if states.get(client.name) not in ("stage-1", "stage-2"))
        if first:
            found.append(f"without a stage 1 behind them, these do it in round 1: {', '.join(first)}")
    if spec.rounds[0] == "stage-1":
        again = sorted(name for name, program in states.items() if program == "stage-2")
        if again:
            found.append(
                "round 1 is stage-1: routers and cross-task adapters are left behind, and begin again at the next "
                f"stage-2, of {', '.join(again)}"
            )
    return found
