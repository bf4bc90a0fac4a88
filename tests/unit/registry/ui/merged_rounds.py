"""Rounds of three clients in the registry, with the plans and ledgers that the aggregator would have written."""

from pilot_proto.canonical import canonical_bytes, digest_of
from pilot_proto.plan import Distances, KindPlan, LedgerEntry, MergePlan, PlanInput, PlanOutput
from pilot_proto.run import Rule
from unit.registry.published import publish
from unit.registry.world import World

TASKS = {"cap-1": "caption", "vqa-1": "vqa", "vqa-2": "vqa"}
APART = 6.0
"""Between the two clients of vqa: each is half of it from their mean."""


def plan(world: World, round_: int, metric: str = "euclidean") -> bytes:
    """Each client's LoRA of itself and the two others; connectors by task."""
    inputs = tuple(
        PlanInput(
            client=client,
            task=task,
            repo=f"{world.run}/client-{client}-update",
            commit=f"{round_}" * 40,
            digest=digest_of(client.encode()),
            num_examples=10,
        )
        for client, task in TASKS.items()
    )
    weights = {"cap-1": (1.0, 0.0, 0.0), "vqa-1": (0.125, 0.625, 0.25), "vqa-2": (0.0, 0.5, 0.5)}
    text = KindPlan(
        kind="text",
        rule=Rule(rule="nearest", neighbours=2),
        inputs=inputs,
        outputs=tuple(
            PlanOutput(repo=f"{world.run}/client-{client}-text", client=client, task=TASKS[client], coefficients=row)
            for client, row in weights.items()
        ),
        distances=Distances(metric=metric, matrix=((0, 9, 9), (9, 0, APART), (9, APART, 0))),
    )
    connector = KindPlan(
        kind="connector",
        rule=Rule(rule="per-task-mean"),
        inputs=inputs,
        outputs=(PlanOutput(repo=f"{world.run}/task-vqa-connector", task="vqa", coefficients=(0.0, 0.5, 0.5)),),
    )
    return canonical_bytes(MergePlan(run=world.run, round=round_, program="stage-1", kinds=(connector, text)))


def entry(client: str, counted: bool = True, **more: object) -> LedgerEntry:
    """A line of a ledger."""
    known = {
        "client": client,
        "task": TASKS[client],
        "answered": counted,
        "counted": counted,
        "num_examples": 10 if counted else None,
        "change_norm": {"text": 1.25} if counted else {},
    }
    return LedgerEntry.model_validate({**known, **more})


def one_round(world: World, round_: int = 1, lost: tuple[str, ...] = (), metric: str = "euclidean") -> World:
    """A published round in which some clients did not answer."""
    for number, (client, task) in enumerate(TASKS.items()):
        if client.startswith("vqa") and client not in lost:
            world.answer(client, round_, seed=10 * round_ + number)
        else:
            world.grant(client, round_, task=task)
    world.seal(round_)
    entries = tuple(
        entry(client, counted=client not in lost, reason="Late" if client in lost else "") for client in TASKS
    )
    output = world.output("task-vqa-connector", round_, seed=50 + round_)
    publish(world, round_, output, plan=plan(world, round_, metric), entries=entries)
    return world
