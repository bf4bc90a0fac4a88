"""Whose updates went into what a client was handed, and with what weight. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pilot_proto.plan import KindPlan, PlanOutput, RoundDocument

from pilot_reports.tables import MISSING, Cell, Row, Table, gain, row
from pilot_reports.transfer import Transfer

MOST_NAMES = 6
"""In one cell; a mean over two hundred clients has as many."""
NOTHING = Cell(MISSING, tone="quiet")


@dataclass(frozen=True)
class Contributions:
    """One kind of adapter, for one client."""

    output: PlanOutput
    own: float
    """The weight of its own update."""
    others: tuple[tuple[str, float], ...]
    """Client and weight, the heaviest first."""


def contributions(kind: KindPlan, client: str, task: str) -> Contributions | None:
    """What the client was handed: made for it, for its task, or for everybody; None when nothing was."""
    output = _output_for(kind, client, task)
    if output is None:
        return None
    # An output that is carried over has no coefficients.
    pairs = zip(kind.inputs, output.coefficients, strict=False)
    weights = {each.client: weight for each, weight in pairs if weight}
    own = weights.pop(client, 0.0)
    return Contributions(output, own, tuple(sorted(weights.items(), key=lambda pair: (-abs(pair[1]), pair[0]))))


def against_gain(round: RoundDocument, kind: KindPlan, tasks: Mapping[str, str], found: Transfer) -> Table:
    """For each client whose updates went into its adapter, beside what it gained; `tasks` is of every client."""
    metrics = {task.task: task.metric for task in found.tasks}
    gains = {each.client: each.merged for task in found.tasks for each in task.clients}
    rows = [
        _row(client, tasks, contributions(kind, client, tasks[client]), gains.get(client), metrics)
        for client in sorted(tasks, key=lambda name: (tasks[name], name))
    ]
    return Table(
        caption=f"{found.run}, {kind.kind} of round {round.round}: who went in, and what it came to",
        columns=("client", "task", "who went in", "itself", "same task", "other tasks", "gain, merged"),
        rows=tuple(rows),
        text_columns=3,
        note=f"Weights of the last merge (rule {kind.rule.rule}). The gain is over {found.baseline}, of all rounds and "
        "of both kinds of adapter together, so the columns stand beside each other: one does not explain the other.",
    )


def _row(
    client: str,
    tasks: Mapping[str, str],
    found: Contributions | None,
    gained: float | None,
    metrics: Mapping[str, str],
) -> Row:
    task = tasks[client]
    last = gain(gained, metrics.get(task, ""))
    if found is None or found.output.carried is not None:
        what = "nothing was merged" if found is None else "an earlier one stands in"
        return row(client, task, Cell(what, tone="quiet"), NOTHING, NOTHING, NOTHING, last)
    same = sum(weight for name, weight in found.others if tasks.get(name) == task)
    other = sum(weight for name, weight in found.others if tasks.get(name) != task)
    return row(client, task, _names(found.others), *(_share(weight) for weight in (found.own, same, other)), last)


def _names(others: Sequence[tuple[str, float]]) -> Cell:
    if not others:
        return Cell("nobody else", tone="quiet")
    text = ", ".join(f"{name} {weight:.3f}" for name, weight in others[:MOST_NAMES])
    more = len(others) - MOST_NAMES
    return Cell(f"{text} and {more} more" if more > 0 else text)


def _share(weight: float) -> Cell:
    return Cell(f"{weight:.3f}", shade=min(1.0, abs(weight))) if weight else NOTHING


def _output_for(kind: KindPlan, client: str, task: str) -> PlanOutput | None:
    for wanted in ((client, None), (None, task), (None, None)):
        for output in kind.outputs:
            whose = (output.client, None) if output.client else (None, output.task)
            if whose == wanted:
                return output
    return None
