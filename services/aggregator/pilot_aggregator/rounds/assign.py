"""What each client must do in a round, and what it may therefore upload and read. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from pilot_proto.assignment import (
    AdapterRef,
    Assignment,
    EvaluationPlan,
    EvaluationPoint,
    Inputs,
    ModelRef,
    PrivateStateRef,
)
from pilot_proto.canonical import document_digest
from pilot_proto.federation import Client
from pilot_proto.grant import Grant
from pilot_proto.names import ADAPTER_FILE, PREPARER, Kind
from pilot_proto.run import RunSpec
from pilot_proto.training import Program

from pilot_aggregator.rounds import slots
from pilot_aggregator.rounds.slots import Slots

KINDS: tuple[Kind, ...] = ("connector", "text")
"""What every update holds. CT-CLIP will add `vision`."""

SMALL_FILE_BYTES = 64 << 20
"""For update.json and configurations; per-sample scores are its largest part."""
UNKNOWN_ADAPTER_BYTES = 8 << 30
"""Round 0 has no schema yet to derive a limit from."""


@dataclass(frozen=True)
class RunPlan:
    """What is fixed for a run: who takes part, with what settings, in which rounds."""

    name: str
    uid: str
    spec: RunSpec
    clients: tuple[Client, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(sorted({client.task for client in self.clients}))

    @property
    def last_training_round(self) -> int:
        return len(self.spec.rounds)

    @property
    def last_round(self) -> int:
        """Evaluation, where there is one, is the round after the last."""
        return self.last_training_round + (1 if self.spec.evaluation.samples else 0)

    def program(self, number: int) -> Program:
        """What a round is for."""
        if number == 0:
            return "prepare"
        return self.spec.rounds[number - 1] if number <= self.last_training_round else "evaluate"


@dataclass(frozen=True)
class History:
    """What earlier rounds left: the published adapters, and each client's accepted updates, oldest first."""

    model: ModelRef
    slots: Slots = field(default_factory=dict)
    accepted: Mapping[str, tuple[PrivateStateRef, ...]] = field(default_factory=dict)


def plan_round(run: RunPlan, history: History, number: int) -> list[Assignment]:
    """The assignments of a round, sorted by client."""
    if number == 0:
        return [_prepare(run, history)]
    return [assignment_of(run, history, number, client) for client in sorted(run.clients, key=lambda c: c.name)]


def grant_for(run: RunPlan, history: History, assignment: Assignment) -> Grant:
    """What the registry must let a client do, given its assignment."""
    uploads = assignment.program != "evaluate"
    kinds = KINDS if uploads else ()
    schemas = {kind: history.slots[slots.base_slot(kind)] for kind in kinds} if assignment.round else {}
    return Grant(
        uid=run.uid,
        run=run.name,
        round=assignment.round,
        client=assignment.client,
        task=assignment.task,
        program=assignment.program,
        assignment=document_digest(assignment),
        model_digest=history.model.digest,
        kinds=kinds,
        schemas=schemas,
        max_bytes=_limits(kinds, schemas),
        readable=tuple(sorted({ref.commit for ref in (*handed(assignment.inputs), *schemas.values())})),
    )


def _prepare(run: RunPlan, history: History) -> Assignment:
    return Assignment(
        run=run.name,
        round=0,
        client=PREPARER,
        task="",
        program="prepare",
        model=history.model,
        tasks=run.tasks,
        training=run.spec.training,
        seed=run.spec.training.seed,
    )


def assignment_of(run: RunPlan, history: History, number: int, client: Client) -> Assignment:
    """What one client must do in a round after the first."""
    accepted = history.accepted.get(client.name, ())
    program = _program_for(run.program(number), accepted)
    return Assignment(
        run=run.name,
        round=number,
        client=client.name,
        task=client.task,
        program=program,
        model=history.model,
        tasks=run.tasks,
        inputs=_inputs(run, history, client, program, accepted),
        private_state=accepted[-1] if accepted else None,
        keep_states=run.spec.retention.private_states,
        training=run.spec.training,
        seed=seed_of(run.spec.training.seed, number, client.name),
        evaluation=_evaluation(run, number),
    )


def _program_for(program: Program, accepted: tuple[PrivateStateRef, ...]) -> Program:
    """Stage 2 builds on the client's own stage 1; who has none (joined late, or lost) does that first."""
    staged = bool(accepted) and accepted[-1].program in ("stage-1", "stage-2")
    return "stage-1" if program == "stage-2" and not staged else program


def _inputs(
    run: RunPlan, history: History, client: Client, program: Program, accepted: tuple[PrivateStateRef, ...]
) -> Inputs:
    # What was published is measured in the architecture that the client's private state has, which may be stage 2.
    mixed = program == "stage-2" or (bool(accepted) and accepted[-1].program == "stage-2")
    tasks = {task: slots.for_task(history.slots, "connector", task) for task in run.tasks} if mixed else {}
    return Inputs(
        text=slots.for_client(history.slots, "text", client.name, client.task),
        connector=slots.for_client(history.slots, "connector", client.name, client.task),
        task_connectors=tasks,
    )


def _evaluation(run: RunPlan, number: int) -> EvaluationPlan | None:
    wanted = run.spec.evaluation
    if not wanted.samples:
        return None
    points = [EvaluationPoint(point="merged", round=number - 1)]
    if number <= run.last_training_round:
        points.append(EvaluationPoint(point="local", round=number))
    return EvaluationPlan(split=wanted.split, samples=wanted.samples, points=tuple(points))


def handed(inputs: Inputs) -> list[AdapterRef]:
    """The versions that somebody receives."""
    refs = [inputs.text, inputs.connector, *inputs.task_connectors.values()]
    return [ref for ref in refs if ref is not None]


def _limits(kinds: tuple[Kind, ...], schemas: Mapping[Kind, AdapterRef]) -> dict[str, int]:
    limits: dict[str, int] = {"update": SMALL_FILE_BYTES}
    for kind in kinds:
        known = schemas.get(kind)
        limits[kind] = 2 * known.files[ADAPTER_FILE[kind]].size if known else UNKNOWN_ADAPTER_BYTES
    return limits


def seed_of(seed: int, number: int, client: str) -> int:
    """A client's seed in a round: its own, and the same after any restart."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}/{client}".encode()).digest()[:4], "big")
