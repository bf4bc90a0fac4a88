"""A run that starts from another: what it takes over, what is new in it, and what cannot be. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pilot_proto.assignment import AdapterRef, Assignment, PrivateStateRef
from pilot_proto.federation import Client
from pilot_proto.problem import FieldError, InvalidDocument
from pilot_proto.run import ClientStart, Continuation, Run, RunSpec

from pilot_aggregator.rounds.assign import History, RunPlan, plan_round
from pilot_aggregator.store.records import RoundRecord, RunRecord

SAME_LORA = ("r", "lora_alpha", "target_modules")
"""What gives a text adapter its shapes and its meaning; the configuration published beside it says the same."""


@dataclass(frozen=True)
class Source:
    """The published round of another run that a run starts from."""

    run: RunRecord
    round: RoundRecord

    @property
    def slots(self) -> Mapping[str, AdapterRef]:
        return self.round.slots or {}

    @property
    def accepted(self) -> Mapping[str, tuple[PrivateStateRef, ...]]:
        """Every client's accepted updates, of earlier sources too."""
        return self.round.accepted or {}


def check_source(spec: RunSpec, clients: Sequence[Client], source: Source) -> None:
    """Refuse what the source's adapters and private states do not fit.

    Raises:
        InvalidDocument: another LoRA, or a client that now has another task; names both.
    """
    faults = [*_lora_faults(spec, source), *_task_faults(spec, clients, source)]
    if faults:
        raise InvalidDocument("run", faults)


def continuation(run: Run, clients: Sequence[Client], source: Source) -> Continuation:
    """Who and what is new, and from what everybody starts in the first round."""
    before = {client.name: client.task for client in source.run.clients}
    now = {client.name: client.task for client in clients}
    tasks_before, tasks_now = set(before.values()), set(now.values())
    plan = RunPlan(run.metadata.name, "", run.spec, tuple(clients))
    first = plan_round(plan, History(source.run.model, source.slots, source.accepted), 1)
    return Continuation(
        run=source.run.name,
        round=source.round.number,
        new_clients=tuple(sorted(now.keys() - before.keys())),
        new_tasks=tuple(sorted(tasks_now - tasks_before)),
        left_clients=tuple(sorted(before.keys() - now.keys())),
        left_tasks=tuple(sorted(tasks_before - tasks_now)),
        clients=tuple(_start(assignment) for assignment in first),
    )


def _start(assignment: Assignment) -> ClientStart:
    state, inputs = assignment.private_state, assignment.inputs
    assert inputs.connector is not None
    assert inputs.text is not None
    return ClientStart(
        client=assignment.client,
        task=assignment.task,
        program=assignment.program,
        connector=inputs.connector.repo,
        text=inputs.text.repo,
        private_state=f"{state.program} of round {state.round}" if state else "",
    )


def _lora_faults(spec: RunSpec, source: Source) -> list[FieldError]:
    faults = []
    for name in SAME_LORA:
        before, wanted = getattr(source.run.spec.training.lora, name), getattr(spec.training.lora, name)
        if before != wanted:
            faults.append(
                FieldError(
                    pointer=f"/spec/training/lora/{name}",
                    message=f"{name} {wanted} is not that of run {source.run.name!r}, {before}: "
                    "its text adapters would not fit",
                    hint=f"write '{name}: {before}', or leave start_from out",
                )
            )
    return faults


def _task_faults(spec: RunSpec, clients: Sequence[Client], source: Source) -> list[FieldError]:
    before = {client.name: client.task for client in source.run.clients}
    faults = []
    for client in clients:
        known = before.get(client.name, client.task)
        if known != client.task and client.name in source.accepted:
            listed = spec.clients != "all" and client.name in spec.clients
            pointer = f"/spec/clients/{spec.clients.index(client.name)}" if listed else "/spec/clients"
            faults.append(
                FieldError(
                    pointer=pointer,
                    message=f"client {client.name!r} has task {client.task!r}, but had {known!r} in run "
                    f"{source.run.name!r}: its private state is for that",
                    hint="give the client of another task another name, or leave it out",
                )
            )
    return faults
