"""From a plan and the digests of the merged files to the versions that a round publishes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from pilot_proto.assignment import AdapterRef, FileRef, ModelRef
from pilot_proto.canonical import canonical_bytes, commit_of, document_digest
from pilot_proto.grant import Publication, PublishRequest, SealedRound
from pilot_proto.manifest import Manifest, Parent
from pilot_proto.names import ADAPTER_FILE, CONFIG_FILE, Kind, update_path
from pilot_proto.plan import KindPlan, Ledger, MergePlan, PlanOutput

from pilot_aggregator.rounds import slots
from pilot_aggregator.rounds.slots import Slots

Merged = Mapping[str, FileRef]
"""Output repository to its merged file."""


@dataclass(frozen=True)
class Published:
    """What the publish transaction is asked to store, and where everybody stands after it."""

    request: PublishRequest
    slots: dict[str, AdapterRef]


def publication(
    plan: MergePlan, ledger: Ledger, merged: Merged, model: ModelRef, sealed: SealedRound, before: Slots
) -> Published:
    """The versions of a round. `before` is where everybody stood; slots that nothing was made for stay."""
    assert model.digest is not None, "round 0 found out the model's digest"
    after = {slot: adapter for slot, adapter in before.items() if not any(_superseded(slot, k) for k in plan.kinds)}
    manifests = []
    commits = {}
    digest = document_digest(plan)
    for kind_plan in plan.kinds:
        config = _config(kind_plan.kind, plan, sealed, before)
        for output in kind_plan.outputs:
            if output.carried is not None:
                if output.carried.repo == output.repo:
                    commits[output.repo] = output.carried.commit
                continue
            files = {ADAPTER_FILE[kind_plan.kind]: merged[output.repo], CONFIG_FILE[kind_plan.kind]: config}
            manifest = _manifest(plan, kind_plan, output, files, model, digest)
            commit = commit_of(canonical_bytes(manifest))
            manifests.append(manifest)
            commits[output.repo] = commit
            after[_slot(kind_plan.kind, output)] = AdapterRef(repo=output.repo, commit=commit, files=files)
    document = Publication(run=plan.run, round=plan.round, outputs=commits, plan=digest, ledger=document_digest(ledger))
    return Published(PublishRequest(publication=document, manifests=tuple(manifests)), after)


def _manifest(
    plan: MergePlan,
    kind_plan: KindPlan,
    output: PlanOutput,
    files: dict[str, FileRef],
    model: ModelRef,
    digest: str,
) -> Manifest:
    members = [(item, c) for item, c in zip(kind_plan.inputs, output.coefficients, strict=True) if c != 0.0]
    base = plan.program == "prepare"
    assert model.digest is not None
    return Manifest(
        repo=output.repo,
        kind=kind_plan.kind,
        run=plan.run,
        round=plan.round,
        client=output.client,
        task=output.task,
        program=plan.program,
        model=model.name,
        model_digest=model.digest,
        model_license=model.license,
        files=files,
        num_examples=None if base else sum(item.num_examples for item, _ in members),
        contributors=() if base else tuple(sorted(item.client for item, _ in members)),
        parents=tuple(Parent(repo=item.repo, commit=item.commit, coefficient=c) for item, c in members),
        plan=digest,
    )


def _config(kind: Kind, plan: MergePlan, sealed: SealedRound, before: Slots) -> FileRef:
    """How to use the tensors: written once, by round 0, and the same for every adapter of the run."""
    if plan.program == "prepare":
        return sealed.updates[0].files[update_path(kind, CONFIG_FILE[kind])]
    return before[slots.base_slot(kind)].files[CONFIG_FILE[kind]]


def _superseded(slot: str, plan: KindPlan) -> bool:
    """Whether a slot is more personal than what the rule makes, so that it would hide the rule's outputs for ever.

    Only a run that starts from another, whose rule had a narrower scope, has such slots.
    """
    kind, scope, *_ = slot.split("/")
    if kind != plan.kind or any(output.client for output in plan.outputs):
        return False
    return scope == "client" or (scope == "task" and not any(output.task for output in plan.outputs))


def _slot(kind: Kind, output: PlanOutput) -> str:
    if output.client:
        return slots.client_slot(kind, output.client)
    if output.task:
        return slots.task_slot(kind, output.task)
    return slots.base_slot(kind) if "/base-" in output.repo else slots.global_slot(kind)
