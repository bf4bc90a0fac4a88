"""A world whose rounds are published with real plans and ledgers, as the aggregator writes them."""

from typing import Any

from pilot_proto.canonical import canonical_bytes, commit_of, digest_of
from pilot_proto.manifest import Manifest, Parent
from pilot_proto.plan import KindPlan, Ledger, LedgerEntry, MergePlan, PlanOutput, TaskMean
from pilot_proto.run import Rule
from unit.registry.world import World, file_ref, safetensors, tensors

CONFIG = b'{"base_model_name_or_path":"digits-tiny","peft_type":"LORA"}'
LORA = safetensors(tensors(71))


def mean(point: str, round_: int, value: float, task: str = "vqa") -> TaskMean:
    """What two clients measured."""
    return TaskMean(
        task=task, point=point, round=round_, split="test", metric="exact-match", value=value, clients=2, samples=80
    )


def text_output(world: World, name: str, round_: int, lora: bytes, config: bytes, plan: bytes, **more: Any) -> Manifest:
    """A LoRA with its configuration, uploaded."""
    for body, kind in ((lora, "text"), (config, "update")):
        assert world.put(body, kind, None, round_=round_).status_code in (200, 201)
    files = {"adapter_model.safetensors": file_ref(lora), "adapter_config.json": file_ref(config)}
    made = world.output(name, round_, **more)
    return made.model_copy(update={"kind": "text", "files": files, "plan": digest_of(plan)})


def plan_of(world: World, round_: int) -> bytes:
    """A plan that merged one LoRA by `nearest`."""
    rule = Rule(rule="nearest", neighbours=2, metric="euclidean", combine="convex", weight_cap=0.9)
    kind = KindPlan(kind="text", rule=rule, inputs=(), outputs=(PlanOutput(repo=f"{world.run}/x"),))
    return canonical_bytes(MergePlan(run=world.run, round=round_, program="stage-1", kinds=(kind,)))


def publish(
    world: World,
    round_: int,
    *manifests: Manifest,
    plan: bytes,
    means: tuple[TaskMean, ...] = (),
    entries: tuple[LedgerEntry, ...] = (),
) -> None:
    """Publish a round with a plan and a ledger of these entries and means."""
    ledger = canonical_bytes(Ledger(run=world.run, round=round_, program="stage-1", entries=entries, task_means=means))
    for body in (plan, ledger):
        assert world.put(body, "update", None, round_=round_).status_code in (200, 201)
    request = world.publication(*manifests, round_=round_)
    named = {"plan": digest_of(plan), "ledger": digest_of(ledger)}
    request = request.model_copy(update={"publication": request.publication.model_copy(update=named)})
    answer = world.publish(request)
    assert answer.status_code == 201, answer.text


def one_text_adapter(world: World, lora: bytes = LORA, config: bytes = CONFIG, **more: Any) -> str:
    """Round 1 with a personal LoRA of two contributors; its commit."""
    world.answer("vqa-1", seed=1)
    world.answer("vqa-2", seed=2)
    world.seal()
    plan = plan_of(world, 1)
    parents = (Parent(repo="digits/client-vqa-1-update", commit="a" * 40, coefficient=0.75),)
    known = {"client": "vqa-1", "task": "vqa", "num_examples": 20, "parents": parents, "model_license": "apache-2.0"}
    made = text_output(world, "client-vqa-1-text", 1, lora, config, plan, **{**known, **more})
    publish(world, 1, made, plan=plan, means=(mean("local", 1, 0.5), mean("merged", 0, 0.1)))
    return commit_of(canonical_bytes(made))


def next_round(world: World, *means: TaskMean) -> None:
    """Round 2, which publishes nothing new but what it measured."""
    world.grant("vqa-1", 2)
    world.seal(2)
    publish(world, 2, plan=plan_of(world, 2), means=means)
