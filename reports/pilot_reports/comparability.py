"""Which figures of two runs may be set against each other, and why others may not. Pure."""

from dataclasses import dataclass

from pilot_proto.report import ClientReport, RunReport
from pilot_proto.run import TERMINAL, RunView


@dataclass(frozen=True)
class Obstacle:
    """Why something is not to be compared, or only with care."""

    code: str
    why: str
    client: str | None = None
    """None: the whole run."""
    forbids: bool = True
    """False: a difference is shown, and this beside it."""


def obstacles(first: RunView, second: RunView, reports: tuple[RunReport, RunReport]) -> tuple[Obstacle, ...]:
    """All of them, those of whole runs first."""
    return (*_of_runs(first, second), *_of_clients(reports))


def comparable_clients(first: RunReport, second: RunReport, found: tuple[Obstacle, ...]) -> tuple[str, ...]:
    """The clients whose figures may be subtracted, sorted."""
    if any(obstacle.forbids and obstacle.client is None for obstacle in found):
        return ()
    barred = {obstacle.client for obstacle in found if obstacle.forbids}
    both = {c.client for c in first.clients} & {c.client for c in second.clients}
    return tuple(sorted(both - barred))


def _of_runs(first: RunView, second: RunView) -> list[Obstacle]:
    one, other = first.spec, second.spec
    names = [view.metadata["name"] for view in (first, second)]
    found = []
    if one.model != other.model:
        found.append(Obstacle("other_model", f"{names[0]} tunes {one.model}, {names[1]} tunes {other.model}"))
    if one.evaluation.split != other.evaluation.split:
        why = f"{names[0]} measures on {one.evaluation.split}, {names[1]} on {other.evaluation.split}"
        found.append(Obstacle("other_split", why))
    if one.evaluation.samples != other.evaluation.samples:
        why = f"{one.evaluation.samples} against {other.evaluation.samples} samples per client"
        found.append(Obstacle("other_samples", f"{why}: the means are of different samples", forbids=False))
    for view, name in zip((first, second), names, strict=True):
        found += _of_run(view, name)
    return found


def _of_run(view: RunView, name: str) -> list[Obstacle]:
    found = []
    if view.status.phase not in TERMINAL:
        why = f"{name} is still {view.status.phase}; what it has not measured is missing"
        found.append(Obstacle("not_ended", why, forbids=False))
    elif view.status.phase != "Succeeded":
        found.append(Obstacle("not_succeeded", f"{name} ended {view.status.phase}", forbids=False))
    found += [
        Obstacle("partial", f"{name}: {condition.reason}: {condition.message}", forbids=False)
        for condition in view.status.conditions
        if condition.type == "Partial"
    ]
    if view.spec.start_from is not None:
        source = view.spec.start_from
        why = f"{name} starts from round {source.round} of {source.run}, so its 'before' is not the base model"
        found.append(Obstacle("started_from", why, forbids=False))
    return found


def _of_clients(reports: tuple[RunReport, RunReport]) -> list[Obstacle]:
    first, second = ({client.client: client for client in report.clients} for report in reports)
    names = [report.run for report in reports]
    found = [Obstacle("only_in_one", f"only in {names[0]}", client) for client in sorted(first.keys() - second.keys())]
    found += [Obstacle("only_in_one", f"only in {names[1]}", client) for client in sorted(second.keys() - first.keys())]
    for client in sorted(first.keys() & second.keys()):
        found += _of_client(first[client], second[client])
    return found


def _of_client(one: ClientReport, other: ClientReport) -> list[Obstacle]:
    if one.task != other.task:
        return [Obstacle("other_task", f"task {one.task} against {other.task}", one.client)]
    if one.metric and other.metric and one.metric != other.metric:
        return [Obstacle("other_metric", f"metric {one.metric} against {other.metric}", one.client)]
    if None not in (one.before, other.before) and one.before != other.before:
        why = f"'before' is {one.before:.4g} against {other.before:.4g}: other samples, or another model to start from"
        return [Obstacle("other_before", why, one.client, forbids=False)]
    return []
