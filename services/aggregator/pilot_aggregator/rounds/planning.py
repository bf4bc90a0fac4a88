"""From a sealed round to its plan and its ledger. Pure; the rules themselves are in `merge/rules`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from pilot_proto.assignment import AdapterRef
from pilot_proto.grant import AdmittedUpdate, SealedRound
from pilot_proto.names import ADAPTER_FILE, Kind, update_path
from pilot_proto.plan import KindPlan, Ledger, LedgerEntry, MergePlan, PlanInput, PlanOutput
from pilot_proto.run import Rule
from pilot_proto.update import Update

from pilot_aggregator.merge.measure import Measured
from pilot_aggregator.merge.plan import Everyone, metric_of, plan_kind
from pilot_aggregator.rounds import slots
from pilot_aggregator.rounds.assign import KINDS, RunPlan
from pilot_aggregator.rounds.gate import Measurement
from pilot_aggregator.rounds.slots import Slots
from pilot_aggregator.rounds.task_means import task_means


@dataclass(frozen=True)
class Answer:
    """How one client ended in a round."""

    client: str
    task: str
    update: AdmittedUpdate | None
    reason: str = ""
    """Why there is no update, or why it does not count."""
    flags: tuple[str, ...] = ()

    @property
    def counted(self) -> bool:
        return self.update is not None and not self.reason


def answers(
    tasks: Mapping[str, str],
    sealed: SealedRound,
    reasons: Mapping[str, str],
    flagged: Mapping[str, tuple[str, ...]],
    refused: Mapping[str, str],
) -> list[Answer]:
    """Every client asked, sorted, with what became of it.

    `reasons` says why a client did not answer, `refused` why an answer does not count.
    """
    updates = {update.client: update for update in sealed.updates}
    found = []
    for client, task in sorted(tasks.items()):
        update = updates.get(client)
        reason = refused.get(client, "") if update else reasons.get(client, "Late")
        marks = (*update.flags, *flagged.get(client, ())) if update else ()
        found.append(Answer(client, task, update, reason, marks))
    return found


def merge_plan(
    run: RunPlan, number: int, answered: Sequence[Answer], measured: Mapping[Kind, Measurement], before: Slots
) -> MergePlan:
    """Which of the counted updates go into which output, with what weight."""
    program = run.program(number)
    updates = [answer.update for answer in answered if answer.counted and answer.update]
    if program == "evaluate":
        return MergePlan(run=run.name, round=number, program=program)
    if program == "prepare":
        kinds = tuple(_prepared(run, kind, updates[0]) for kind in KINDS)
    else:
        kinds = tuple(_kind_plan(run, kind, updates, measured.get(kind), before) for kind in KINDS)
    return MergePlan(run=run.name, round=number, program=program, kinds=kinds)


def ledger(
    run: RunPlan,
    number: int,
    answered: Sequence[Answer],
    plan: MergePlan,
    measured: Mapping[Kind, Measurement],
    said: Mapping[str, Update],
) -> Ledger:
    """Who was asked, answered and counted, and what each weighs. `said` is what each client wrote of its update."""
    shares = {kind.kind: _shares(kind) for kind in plan.kinds}
    norms = _norms(measured)
    entries = []
    for answer in answered:
        update = answer.update
        entry = LedgerEntry(
            client=answer.client,
            task=answer.task,
            answered=update is not None,
            counted=answer.counted,
            reason=answer.reason,
            commit=update.commit if update else None,
            num_examples=update.num_examples if update else None,
            flags=answer.flags,
            change_norm=norms.get(answer.client, {}),
            shares={kind: share[answer.client] for kind, share in shares.items()} if answer.counted else {},
            started=said[answer.client].started if answer.client in said else (),
        )
        entries.append(entry)
    counted = [said[answer.client] for answer in answered if answer.counted and answer.client in said]
    return Ledger(
        run=run.name,
        round=number,
        program=run.program(number),
        entries=tuple(entries),
        task_means=task_means(counted),
    )


def rule_of(run: RunPlan, kind: Kind) -> Rule:
    """The rule for a kind of adapter."""
    return run.spec.merge.connector if kind == "connector" else run.spec.merge.text


def _prepared(run: RunPlan, kind: Kind, update: AdmittedUpdate) -> KindPlan:
    output = PlanOutput(repo=slots.repo_of(run.name, slots.base_slot(kind)), coefficients=(1.0,))
    return KindPlan(kind=kind, rule=Rule(rule="none"), inputs=(_input(kind, update, 1),), outputs=(output,))


def _kind_plan(
    run: RunPlan,
    kind: Kind,
    updates: Sequence[AdmittedUpdate],
    measured: Measurement | None,
    before: Slots,
) -> KindPlan:
    rule = rule_of(run, kind)
    distances = _distances(measured, updates) if measured and metric_of(rule) else None
    return plan_kind(
        kind,
        rule,
        run.name,
        [_input(kind, update, update.num_examples) for update in updates],
        distances,
        Everyone([client.name for client in run.clients], run.tasks),
        _standing(run, kind, before),
        max_examples=run.spec.merge.max_examples,
    )


def _distances(measured: Measurement, counted: Sequence[AdmittedUpdate]) -> Measured:
    everyone = Measured(measured.metric, measured.clients, measured.matrix)
    return everyone.among(update.client for update in counted)


def _standing(run: RunPlan, kind: Kind, before: Slots) -> dict[str, AdapterRef]:
    """What everybody has now, by the repository that a rule would publish it in."""
    names = {slots.client_slot(kind, c.name): slots.for_client(before, kind, c.name, c.task) for c in run.clients}
    names |= {slots.task_slot(kind, task): slots.for_task(before, kind, task) for task in run.tasks}
    return {slots.repo_of(run.name, slot): adapter for slot, adapter in names.items()}


def _input(kind: Kind, update: AdmittedUpdate, num_examples: int) -> PlanInput:
    return PlanInput(
        client=update.client,
        task=update.task,
        repo=update.repo,
        commit=update.commit,
        digest=update.files[update_path(kind, ADAPTER_FILE[kind])].digest,
        num_examples=num_examples,
    )


def _norms(measured: Mapping[Kind, Measurement]) -> dict[str, dict[Kind, float]]:
    """By client; round 0 measures nothing."""
    found: dict[str, dict[Kind, float]] = {}
    for kind, each in measured.items():
        for client, norm in zip(each.clients, each.change_norms, strict=True):
            found.setdefault(client, {})[kind] = norm
    return found


def _shares(plan: KindPlan) -> dict[str, float]:
    """Each client's share of all coefficients."""
    rows = [[abs(c) for c in output.coefficients] for output in plan.outputs if output.coefficients]
    total = fsum(c for row in rows for c in row)
    columns = zip(*rows, strict=True) if total else ((0.0,) for _ in plan.inputs)
    return {
        item.client: fsum(column) / total if total else 0.0 for item, column in zip(plan.inputs, columns, strict=True)
    }
