"""A merge as tables: who went into whose adapter, and how far apart the uploads were. Pure."""

from collections.abc import Sequence

from pilot_proto.plan import KindPlan, PlanOutput

from pilot_reports.history import History
from pilot_reports.nearness import Nearness
from pilot_reports.tables import MISSING, Cell, Row, Table, row


def coefficients(round: int, kind: KindPlan) -> Table:
    """Outputs by inputs: the weight of each upload in each merged adapter."""
    inputs = [each.client for each in kind.inputs]
    return Table(
        caption=f"Round {round}, {kind.kind}: who was merged with whom",
        columns=("for", *inputs),
        rows=tuple(_output(output, len(inputs)) for output in kind.outputs),
        note=f"{rule_words(kind)}. A line is a published adapter, a column is an upload.",
        matrix=True,
    )


def distances(round: int, kind: KindPlan, lines: slice = slice(None)) -> Table | None:
    """Inputs by inputs, or some lines of it, shaded: the darker, the closer. Who went into whose adapter is marked."""
    if kind.distances is None:
        return None
    names, matrix, weights = [each.client for each in kind.inputs], kind.distances.matrix, weights_by_client(kind)
    near = Nearness.between(matrix)
    rows = [
        row(name, *_apart(line, i, weights.get(name), near))
        for i, (name, line) in list(enumerate(zip(names, matrix, strict=True)))[lines]
    ]
    note = "The darker, the closer." + (" A frame: the column went into the line's adapter." if weights else "")
    return Table(
        caption=f"Round {round}, {kind.kind}: distances between uploads ({kind.distances.metric})",
        columns=("client", *names),
        rows=tuple(rows),
        note=note,
        matrix=True,
    )


def neighbourhood(round: int, kind: KindPlan, client: str, most: int) -> Table | None:
    """One client's distances to the others, the nearest first, and what they weigh in its adapter."""
    names = [each.client for each in kind.inputs]
    if kind.distances is None or client not in names:
        return None
    line, weights = kind.distances.matrix[names.index(client)], weights_by_client(kind).get(client)
    others = sorted((line[j], j) for j, name in enumerate(names) if name != client)
    near = Nearness.of([d for d, _ in others])
    rows = [
        row(names[j], kind.inputs[j].task, _distance(d, near), _weight(weights[j]) if weights else Cell(MISSING))
        for d, j in others[:most]
    ]
    own = f" Its own update weighs {weights[names.index(client)]:.3f}." if weights else ""
    cut = f" These are the nearest {most} of {len(others)}." if len(others) > most else ""
    return Table(
        caption=f"Round {round}, {kind.kind}: who is near {client} ({kind.distances.metric})",
        columns=("client", "task", "distance", f"weight in the adapter of {client}"),
        rows=tuple(rows),
        text_columns=2,
        note=f"The darker, the closer, or the heavier.{own}{cut}",
    )


def weights_by_client(kind: KindPlan) -> dict[str, tuple[float, ...]]:
    """What each input weighs in each client's own adapter, in the inputs' order; carried ones are left out."""
    return {output.client: output.coefficients for output in kind.outputs if output.client and output.coefficients}


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


def rule_words(kind: KindPlan) -> str:
    """The rule of a kind with its options."""
    options = kind.rule.model_dump(exclude_none=True, exclude={"rule"})
    words = [f"{name.replace('_', ' ')} {value}" for name, value in options.items()]
    sums = [] if kind.row_sums_to_one else ["lines need not sum to one"]
    return f"Rule {', '.join([kind.rule.rule, *words, *sums])}"


def _weight(weight: float) -> Cell:
    return Cell("") if weight == 0 else Cell(f"{weight:.3f}", shade=min(1.0, abs(weight)))


def _apart(line: Sequence[float], own: int, weights: Sequence[float] | None, near: Nearness) -> list[Cell]:
    return [
        Cell(MISSING, tone="quiet") if j == own else _distance(d, near, marked=bool(weights and weights[j]))
        for j, d in enumerate(line)
    ]


def _distance(value: float, near: Nearness, *, marked: bool = False) -> Cell:
    return Cell(near.figure(value), shade=near.shade(value), marked=marked)
