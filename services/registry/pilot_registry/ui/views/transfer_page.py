"""Transfer: which runs can be chosen, what they gave over training alone, and what is missing to tell."""

from collections.abc import Iterable, Sequence

from pilot_proto.base import Stored
from pilot_proto.plan import RoundDocument
from pilot_proto.run import RunView
from pilot_reports import metric_tables
from pilot_reports.contributions import against_gain
from pilot_reports.history import History
from pilot_reports.tables import Table
from pilot_reports.transfer import Transfer

from pilot_registry.ui.views.bars import Bars, bars

ALONE = "local"
"""The method of a run that federates nothing."""
MOST_OFFERS = 5


class Choice(Stored):
    """A run that can be chosen."""

    name: str
    method: str = ""
    """Empty where only its adapters are known."""
    model: str = ""
    phase: str = ""
    chosen: bool = False


class Gains(Stored):
    """What one federated run gave over training alone."""

    run: str
    baseline: str
    cautions: tuple[str, ...]
    table: Table
    bars: tuple[Bars, ...]
    sources: tuple[Table, ...]
    """Who went in, by kind; empty where nothing was merged, or the plan is lost."""


class Lacking(Stored):
    """What must be chosen too before there is anything to tell."""

    text: str
    offers: tuple[str, ...] = ()
    """Runs that would do."""


def choices(listed: Iterable[RunView], chosen: Sequence[str]) -> tuple[Choice, ...]:
    """The listed runs, and before them those that are chosen and not among them."""
    views = {view.metadata["name"]: view for view in listed}
    missing = tuple(Choice(name=name, chosen=True) for name in chosen if name not in views)
    return (*missing, *(_choice(name, view, name in chosen) for name, view in views.items()))


def gains(found: Transfer, history: History, merge: RoundDocument | None) -> Gains:
    """With the last merge, from the plan that the registry stores."""
    return Gains(
        run=found.run,
        baseline=found.baseline,
        cautions=found.cautions,
        table=metric_tables.transfer(found),
        bars=tuple(drawing for task in found.tasks for drawing in bars(task)),
        sources=_sources(found, history, merge),
    )


def lacking(histories: Sequence[History], listed: Iterable[RunView]) -> Lacking | None:
    """None when there is a run that trained alone and one that did not."""
    alone = [history for history in histories if history.method == ALONE]
    federated = [history for history in histories if history.method != ALONE]
    if not histories or (alone and federated):
        return None
    if alone:
        text = "All chosen runs trained alone. Choose one of another method as well: its gain over them is shown here."
        return Lacking(text=text, offers=_offers(alone, listed, alone=False))
    text = (
        "Whether federating helped is a question about the same clients alone: none of the chosen runs has the method "
        f"{ALONE!r}."
    )
    return Lacking(text=text, offers=_offers(federated, listed, alone=True))


def _offers(chosen: Sequence[History], listed: Iterable[RunView], *, alone: bool) -> tuple[str, ...]:
    """Runs of the same base model, measured on the same split; those with a seed of the chosen ones first."""
    same = {(history.view.spec.model, history.view.spec.evaluation.split) for history in chosen}
    seeds = {history.seed for history in chosen}
    fitting = [
        view
        for view in listed
        if (view.spec.method == ALONE) == alone and (view.spec.model, view.spec.evaluation.split) in same
    ]
    fitting.sort(key=lambda view: (view.spec.training.seed not in seeds, view.status.phase != "Succeeded"))
    return tuple(view.metadata["name"] for view in fitting[:MOST_OFFERS])


def _sources(found: Transfer, history: History, merge: RoundDocument | None) -> tuple[Table, ...]:
    if merge is None or merge.plan is None:
        return ()
    tasks = {client.client: client.task for client in history.report.clients}
    kinds = (kind for kind in merge.plan.kinds if kind.rule.rule != "none")
    return tuple(against_gain(merge, kind, tasks, found) for kind in kinds)


def _choice(name: str, view: RunView, chosen: bool) -> Choice:
    return Choice(name=name, method=view.spec.method, model=view.spec.model, phase=view.status.phase, chosen=chosen)
