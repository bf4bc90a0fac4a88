"""A client's page: its part in each round of a run, and how its figures went."""

from collections.abc import Mapping, Sequence

from pilot_proto.base import Stored
from pilot_proto.metrics import unit_of
from pilot_proto.plan import KindPlan, LedgerEntry, MergePlan
from pilot_proto.registry import RejectionView
from pilot_proto.report import ClientReport
from pilot_reports.contributions import MOST_NAMES, Contributions, contributions
from pilot_reports.task_distance import MEANS, to_task_mean

from pilot_registry.ui.views.outcomes import Outcome
from pilot_registry.ui.views.run_page import Plot, Series


class Share(Stored):
    client: str
    weight: float


class Mix(Stored):
    """What one of the adapters that a client was handed was made of."""

    kind: str
    rule: str
    whose: str
    """`own`, the task's, or `global`: for whom it was made."""
    own: float = 0.0
    """The weight of its own update."""
    others: tuple[Share, ...] = ()
    """The heaviest first."""
    more: int = 0
    """How many others are not named."""
    carried: bool = False
    """Nobody who answered contributes: an earlier version stands in."""


class ClientRound(Stored):
    """A client in one round."""

    round: int
    program: str
    outcome: Outcome
    num_examples: int | None = None
    flags: tuple[str, ...] = ()
    commit: str | None = None
    mixes: tuple[Mix, ...] = ()
    change: dict[str, float] | None = None
    """By kind: how far its update is from what it was given. None for who may not see it."""
    to_mean: dict[str, float] | None = None
    """By kind: how far it is from the mean of its task's updates. None for who may not see it."""
    sent: int | None = None
    refused: tuple[RejectionView, ...] | None = None


def mixes(plan: MergePlan, client: str, task: str) -> tuple[Mix, ...]:
    """Of every kind that the round merged."""
    merged = ((kind, contributions(kind, client, task)) for kind in plan.kinds if kind.rule.rule != "none")
    return tuple(_mix(kind, found) for kind, found in merged if found is not None)


def to_means(plan: MergePlan, client: str) -> dict[str, float]:
    """By kind, where the plan tells."""
    found = {kind.kind: to_task_mean(kind, client) for kind in plan.kinds}
    return {kind: distance for kind, distance in found.items() if distance is not None}


def about_means(plans: Sequence[MergePlan]) -> tuple[str, ...]:
    """What the distances to a mean are distances to, or why there are none; a sentence per metric."""
    metrics = sorted({kind.distances.metric for plan in plans for kind in plan.kinds if kind.distances})
    return tuple(_about(metric) for metric in metrics)


def metric_plot(report: ClientReport | None) -> Plot | None:
    """What a client measured by round: at both points, each a line of its own."""
    if report is None or not report.metric:
        return None
    scale = 100 if unit_of(report.metric) == "share" else 1
    lines = {"merged": (report.before, *report.merged), "local": (None, *report.local)}
    series = tuple(Series(label=label, values=_scaled(values, scale)) for label, values in lines.items())
    unit = f"{report.metric}, %" if scale == 100 else report.metric
    return Plot(title="Metric by round", unit=unit, x=tuple(range(len(report.merged) + 1)), series=series)


def change_plot(rounds: Sequence[ClientRound]) -> Plot | None:
    """How far each update is from what the client was given."""
    told = {each.round: each.change for each in rounds if each.change}
    return _by_kind("Change by round", "norm of the change", told)


def mean_plot(rounds: Sequence[ClientRound]) -> Plot | None:
    """How far each update is from the mean of its task's."""
    told = {each.round: each.to_mean for each in rounds if each.to_mean}
    return _by_kind("Distance to its task's mean by round", "distance", told)


def figures_of(entry: LedgerEntry | None, plan: MergePlan | None, client: str) -> dict[str, dict[str, float]]:
    """The fields of a `ClientRound` that only an operator sees."""
    return {
        "change": {str(kind): norm for kind, norm in entry.change_norm.items()} if entry else {},
        "to_mean": to_means(plan, client) if plan else {},
    }


def _mix(kind: KindPlan, found: Contributions) -> Mix:
    return Mix(
        kind=kind.kind,
        rule=kind.rule.rule,
        whose="own" if found.output.client else found.output.task or "global",
        own=found.own,
        others=tuple(Share(client=name, weight=weight) for name, weight in found.others[:MOST_NAMES]),
        more=max(0, len(found.others) - MOST_NAMES),
        carried=found.output.carried is not None,
    )


def _about(metric: str) -> str:
    if metric in MEANS:
        return f"Distances of metric {metric}: to {MEANS[metric]}."
    return f"Distances of metric {metric} are not known to be Euclidean, so they tell of no distance to a mean."


def _by_kind(title: str, unit: str, told: Mapping[int, Mapping[str, float]]) -> Plot | None:
    if not told:
        return None
    x = tuple(sorted(told))
    kinds = sorted({kind for values in told.values() for kind in values})
    series = tuple(Series(label=kind, values=tuple(told[number].get(kind) for number in x)) for kind in kinds)
    return Plot(title=title, unit=unit, x=x, series=series)


def _scaled(values: Sequence[float | None], scale: int) -> tuple[float | None, ...]:
    return tuple(None if value is None else value * scale for value in values)
