"""Rounds of a run whose personal adapters were merged by their distances, with plans as the aggregator writes them."""

from dataclasses import dataclass, field
from typing import Any

from pilot_proto.canonical import canonical_bytes, commit_of, digest_of
from pilot_proto.manifest import Manifest, Parent
from pilot_proto.plan import Distances, KindPlan, MergePlan, PlanInput, PlanOutput
from pilot_proto.run import Rule
from unit.registry.published import publish
from unit.registry.world import World, safetensors, tensors

CLIENTS = ("vqa-1", "vqa-2")
WEIGHTS = {"vqa-1": (0.75, 0.25), "vqa-2": (0.4, 0.6)}
APART = 1.5
"""Between the two updates of a round; of round 2 twice as much."""


@dataclass
class Merged:
    """Commits by repository (without the run) and round."""

    world: World
    commits: dict[tuple[str, int], str] = field(default_factory=dict)

    def commit(self, repo: str, round_: int) -> str:
        return self.commits[repo, round_]


def merged(world: World, rounds: int = 2, solo: bool = False) -> Merged:
    """In each round both clients answer from what the round before made for them, and each gets a mixture. With `solo`
    vqa-2 gets what is made of its own update alone."""
    made = Merged(world)
    base = world.schema["connector"]
    made.commits["base-connector", 0] = base.commit
    for number in range(1, rounds + 1):
        for seed, client in enumerate(CLIENTS, 10 * number):
            given = (f"client-{client}-connector", number - 1) if number > 1 else ("base-connector", 0)
            made.commits[f"client-{client}-update", number] = _answer(world, client, number, seed, made, given)
        world.seal(number)
        plan = canonical_bytes(plan_of(made, number))
        outputs = [_output(made, client, number, plan, solo) for client in CLIENTS]
        publish(world, number, *outputs, plan=plan)
        for output in outputs:
            made.commits[output.repo.partition("/")[2], number] = commit_of(canonical_bytes(output))
    return made


def plan_of(made: Merged, number: int) -> MergePlan:
    """The plan of a round, with its distances."""
    run, apart = made.world.run, APART * number
    inputs = tuple(
        PlanInput(
            client=client,
            task="vqa",
            repo=f"{run}/client-{client}-update",
            commit=made.commit(f"client-{client}-update", number),
            digest=digest_of(client.encode()),
            num_examples=10,
        )
        for client in CLIENTS
    )
    outputs = tuple(
        PlanOutput(repo=f"{run}/client-{client}-connector", client=client, coefficients=WEIGHTS[client])
        for client in CLIENTS
    )
    distances = Distances(metric="euclidean", matrix=((0.0, apart), (apart, 0.0)))
    rule = Rule(rule="nearest", neighbours=2, metric="euclidean")
    kind = KindPlan(kind="connector", rule=rule, inputs=inputs, outputs=outputs, distances=distances)
    return MergePlan(run=run, round=number, program="stage-1", kinds=(kind,))


def _answer(world: World, client: str, number: int, seed: int, made: Merged, given: tuple[str, int]) -> str:
    parent = Parent(repo=f"{world.run}/{given[0]}", commit=made.commits[given])
    grant = world.grant(client, number, readable=(parent.commit,))
    adapter = safetensors(tensors(seed))
    manifest, told = world.update_for(grant, adapter)
    for body, kind in ((adapter, "connector"), (told, "update")):
        assert world.put(body, kind, client, round_=number).status_code in (200, 201)
    answer = world.commit(manifest.model_copy(update={"parents": (parent,)}))
    assert answer.status_code == 201, answer.text
    commit: str = answer.json()["commit"]
    return commit


def _output(made: Merged, client: str, number: int, plan: bytes, solo: bool) -> Manifest:
    alone = solo and client == CLIENTS[1]
    members = [
        (c, 1.0 if alone else w) for c, w in zip(CLIENTS, WEIGHTS[client], strict=True) if not alone or c == client
    ]
    parents = tuple(
        Parent(
            repo=f"{made.world.run}/client-{member}-update",
            commit=made.commit(f"client-{member}-update", number),
            coefficient=weight,
        )
        for member, weight in members
    )
    more: dict[str, Any] = {"client": client, "plan": digest_of(plan), "parents": parents, "num_examples": 20}
    contributors = tuple(member for member, _ in members)
    return made.world.output(
        f"client-{client}-connector", number, 100 * number + CLIENTS.index(client), contributors, **more
    )
