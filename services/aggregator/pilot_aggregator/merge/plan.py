"""What a merge will do, as a document: members and distances in, coefficients for all clients and tasks out.

Pure. An output that no answer contributes to (an absent client, an empty task) carries its previous version, or the
base, so that every round publishes the same repositories.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pilot_proto.assignment import AdapterRef
from pilot_proto.names import Kind, client_repo, global_repo, task_repo
from pilot_proto.plan import Distances, KindPlan, PlanInput, PlanOutput
from pilot_proto.run import Rule

from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.measure import Measured
from pilot_aggregator.merge.mixture import Member, Mixture, by_name
from pilot_aggregator.merge.rules import rule_named
from pilot_aggregator.merge.rules.rule import Options, Scope

DEFAULT_METRIC = "euclidean"


@dataclass(frozen=True)
class Everyone:
    """For whom a round makes outputs, whether they answered or not."""

    clients: Sequence[str]
    tasks: Sequence[str]


def options_of(rule: Rule) -> Options:
    """The options that were written for a rule."""
    return rule.model_dump(exclude={"rule"}, exclude_none=True)


def check_rule(rule: Rule) -> None:
    """Say what is wrong with a rule before anything starts.

    Raises:
        MergeRefused: an unknown rule, or an option that it does not read.
    """
    rule_named(rule.rule, options_of(rule))


def metric_of(rule: Rule) -> str | None:
    """The metric to measure for a rule, or None if it looks at no distances."""
    needs = rule_named(rule.rule, options_of(rule)).needs_distances
    return rule.metric or DEFAULT_METRIC if needs else None


def mixture(rule: Rule, members: Sequence[Member], measured: Measured | None) -> Mixture:
    """The coefficients of those who answered.

    Raises:
        MergeRefused: an unknown rule, an option that it does not read, or one outside its range.
    """
    chosen = rule_named(rule.rule, options_of(rule))
    ordered = by_name(members)
    assert measured is None or measured.names == tuple(member.name for member in ordered)
    assert measured is not None or not chosen.needs_distances, "measure first: see metric_of"
    try:
        return chosen.mix(ordered, measured.matrix if measured else None, options_of(rule))
    except ValueError as error:
        raise MergeRefused(f"rule {rule.rule!r}: {error}") from error


def plan_kind(
    kind: Kind,
    rule: Rule,
    run: str,
    inputs: Iterable[PlanInput],
    measured: Measured | None,
    everyone: Everyone,
    carried: Mapping[str, AdapterRef],
    *,
    max_examples: int | None = None,
) -> KindPlan:
    """The plan of one kind of adapter.

    Args:
        inputs: the updates that count, at least one.
        measured: their distances, if `metric_of(rule)` asks for them.
        carried: for each repository of the run its previous version, or the base: what stands in when nobody
            contributes.
        max_examples: a cap on each n_k.

    Raises:
        MergeRefused: as `mixture` does.
    """
    ordered = tuple(sorted(inputs, key=lambda given: given.client))
    cap = max_examples or max(given.num_examples for given in ordered)
    members = [Member(given.client, given.task, min(given.num_examples, cap)) for given in ordered]
    mixed = mixture(rule, members, measured)
    rows = dict(zip(mixed.outputs, mixed.coefficients, strict=True))
    scope = rule_named(rule.rule, options_of(rule)).scope
    names = sorted({*_wanted(scope, everyone), *mixed.outputs})
    outputs = [_output(kind, run, scope, name, rows.get(name), carried) for name in names]
    return KindPlan(
        kind=kind,
        rule=rule,
        inputs=ordered,
        outputs=tuple(sorted(outputs, key=lambda output: output.repo)),
        distances=Distances(metric=measured.metric, matrix=measured.matrix) if measured else None,
        row_sums_to_one=mixed.row_sums_to_one,
    )


def mixture_of(plan: KindPlan) -> Mixture:
    """The stored coefficients again, for the engine: outputs are repositories, those that are carried left out."""
    outputs = [output for output in plan.outputs if output.carried is None]
    return Mixture(
        inputs=tuple(given.client for given in plan.inputs),
        outputs=tuple(output.repo for output in outputs),
        coefficients=tuple(output.coefficients for output in outputs),
        row_sums_to_one=plan.row_sums_to_one,
    )


def _wanted(scope: Scope, everyone: Everyone) -> Sequence[str]:
    return {Scope.CLIENT: everyone.clients, Scope.TASK: everyone.tasks, Scope.GLOBAL: ()}[scope]


def _output(
    kind: Kind,
    run: str,
    scope: Scope,
    name: str,
    row: tuple[float, ...] | None,
    carried: Mapping[str, AdapterRef],
) -> PlanOutput:
    repo = _repo(kind, run, scope, name)
    return PlanOutput(
        repo=repo,
        client=name if scope is Scope.CLIENT else None,
        task=name if scope is Scope.TASK else None,
        coefficients=row or (),
        carried=None if row else carried[repo],
    )


def _repo(kind: Kind, run: str, scope: Scope, name: str) -> str:
    match scope:
        case Scope.CLIENT:
            return client_repo(run, name, kind)
        case Scope.TASK:
            return task_repo(run, name, kind)
        case Scope.GLOBAL:
            return global_repo(run, kind)
