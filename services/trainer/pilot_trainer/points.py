"""The two points of a client's model: what its own update left, and what a round published around its private parts."""

from collections.abc import Mapping

from pilot_model.assembly import as_published
from pilot_model.parts import Sources, router_rows, under
from pilot_model.personal import Parts
from pilot_proto.assignment import Inputs
from pilot_proto.canonical import Commit
from pilot_proto.names import Kind, base_repo, client_repo, global_repo, task_repo
from pilot_proto.run import TrainingProgram
from torch import Tensor, nn

from pilot_trainer.errors import BadAssignment
from pilot_trainer.materials import CONNECTOR, TEXT
from pilot_trainer.results import Result

TRAINING: Mapping[str, TrainingProgram] = {"plain": "plain", "stage-1": "stage-1", "stage-2": "stage-2"}


def local_parts(result: Result) -> Parts:
    """The client's own model as this result left it. Raises BadAssignment when the private state is damaged."""
    assignment, private = result.assignment(), result.private()
    return Parts(
        program=program_of(result),
        task=assignment.task,
        router=assignment.training.connector.router,
        connector=under(CONNECTOR, private),
        lora=assignment.training.lora,
        text=under(TEXT, private),
    )


def merged_parts(
    result: Result, text: Mapping[str, Tensor], own: Mapping[str, Tensor], tasks: Mapping[str, Mapping[str, Tensor]]
) -> Parts:
    """Published adapters in the architecture, and with the private parts, of this result.

    Raises DoesNotFit when the adapter of a task is missing, BadAssignment when the private state is damaged.
    """
    local = local_parts(result)
    settings = result.assignment().training.connector
    # Only the tensors are taken, and an activation has none.
    connector = as_published(
        local.program, local.task, Sources({}, own, tasks, local.connector), settings, nn.Identity()
    )
    return Parts(local.program, local.task, local.router, connector.state_dict(), local.lora, text)


def program_of(result: Result) -> TrainingProgram:
    """What the result's update executed. Raises BadAssignment when it trained nothing."""
    program = TRAINING.get(result.update.program)
    if program is None:
        raise BadAssignment(f"{result.folder} is of program {result.update.program!r}, which trains nothing")
    return program


def router_tasks(parts: Parts) -> tuple[str, ...]:
    """The tasks in the order of the router's rows; none without a router."""
    return tuple(router_rows(parts.connector, parts.task))


def handed_out(run: str, kind: Kind, client: str | None, task: str, made: Mapping[str, Commit]) -> str | None:
    """Which of the repositories that a round published stands for a client, or for a task: the most personal.

    None when the round made none, so that what was handed out before still stands.
    """
    own = [client_repo(run, client, kind)] if client else []
    candidates = [*own, task_repo(run, task, kind), global_repo(run, kind), base_repo(run, kind)]
    return next((repo for repo in candidates if repo in made), None)


def tasks_of(inputs: Inputs, program: TrainingProgram, tasks: tuple[str, ...]) -> tuple[str, ...]:
    """The tasks whose connectors a model of this program needs."""
    return tuple(sorted(inputs.task_connectors)) or tasks if program == "stage-2" else ()
