"""A merge as tables: who went into whose adapter, and how far apart the uploads were. Pure."""

from math import floor, log10

from pilot_proto.plan import KindPlan, PlanOutput, RoundDocument

from pilot_reports.history import History
from pilot_reports.tables import MISSING, Cell, Row, Table, row


def coefficients(round: RoundDocument, kind: KindPlan) -> Table:
    """Outputs by inputs: the weight of each upload in each merged adapter."""
    inputs = [each.client for each in kind.inputs]
    return Table(
        caption=f"Round {round.round}, {kind.kind}: who was merged with whom",
        columns=("for", *inputs),
        rows=tuple(_output(output, len(inputs)) for output in kind.outputs),
        note=f"{_rule(kind)}. A line is a published adapter, a column is an upload.",
        matrix=True,
    )


def distances(round: RoundDocument, kind: KindPlan) -> Table | None:
    """Inputs by inputs, shaded: the darker, the closer."""
    if kind.distances is None:
        return None
    names = [each.client for each in kind.inputs]
    matrix = kind.distances.matrix
    apart = [value for i, line in enumerate(matrix) for j, value in enumerate(line) if i != j]
    low, high = (min(apart), max(apart)) if apart else (0.0, 0.0)
    rows = [
        row(
            name, *(Cell(MISSING, tone="quiet") if i == j else _distance(v, low, high) for j, v in enumerate(matrix[i]))
        )
        for i, name in enumerate(names)
    ]
    return Table(
        caption=f"Round {round.round}, {kind.kind}: distances between uploads ({kind.distances.metric})",
        columns=("client", *names),
        rows=tuple(rows),
        note="The darker, the closer.",
        matrix=True,
    )


def published(history: History) -> Table:
    """What stands after the last published round."""
    report = history.report
    rows = [
        row(Cell(repo, code=True), Cell(commit, code=True), Cell(report.digests.get(repo, MISSING), code=True))
        for repo, commit in sorted(report.published.items())
    ]
    columns = ("repository", "commit", "digest of the adapter's file")
    return Table(f"Adapters of {history.name} that stand", columns, tuple(rows), text_columns=3)


def _output(output: PlanOutput, inputs: int) -> Row:
    name = output.client or output.task or output.repo.partition("/")[2]
    if output.carried is not None:
        return row(name, *(Cell("carried", tone="quiet") for _ in range(inputs)))
    return row(name, *(_weight(weight) for weight in output.coefficients))


def _rule(kind: KindPlan) -> str:
    options = kind.rule.model_dump(exclude_none=True, exclude={"rule"})
    words = [f"{name.replace('_', ' ')} {value}" for name, value in options.items()]
    sums = [] if kind.row_sums_to_one else ["lines need not sum to one"]
    return f"Rule {', '.join([kind.rule.rule, *words, *sums])}"


def _weight(weight: float) -> Cell:
    return Cell("") if weight == 0 else Cell(f"{weight:.3f}", shade=min(1.0, abs(weight)))


def _distance(value: float, low: float, high: float) -> Cell:
    # Four digits of the largest, and as many behind the point in every cell, so that they stand in line.
    decimals = max(0, 3 - floor(log10(high))) if high > 0 else 0
    return Cell(f"{value:.{decimals}f}", shade=1 - (value - low) / (high - low) if high > low else None)
