"""Who was merged with whom: each output with what went into it, and for few clients the whole tables."""

from collections.abc import Mapping, Sequence

from pilot_proto.base import Stored
from pilot_proto.plan import KindPlan, PlanOutput
from pilot_reports import merge_tables
from pilot_reports.tables import Table

FEW = 12
"""Up to so many updates the tables stand on the round's page; of more they have a page of their own."""
PARTS = 8
NEAREST = 25
EVEN = 1e-12


class MergePart(Stored):
    """One update in an output."""

    client: str
    weight: float
    distance: float | None = None


class MergeLine(Stored):
    """One output."""

    name: str
    """The client or task that it is for, or what everybody gets."""
    repo: str
    commit: str
    visible: bool
    own: float | None = None
    """What the client's own update weighs in it."""
    parts: tuple[MergePart, ...] = ()
    """The others, or all, the heaviest first."""
    more: int = 0
    """How many further ones, and what they weigh together."""
    more_weight: float = 0.0
    even: bool = False
    """All of them weigh the same."""
    carried: bool = False
    """Nobody who counted contributes: an earlier version stands in."""


class KindMerge(Stored):
    """One kind of adapter."""

    kind: str
    rule: str
    inputs: tuple[str, ...]
    """The clients whose updates were counted."""
    lines: tuple[MergeLine, ...]
    """Of those outputs that no table shows."""
    distances: Table | None = None
    coefficients: Table | None = None
    neighbourhood: Table | None = None
    """Of the client that was asked for."""
    measured: bool
    """Whether the rule looked at distances."""
    links: dict[str, str]
    """Where the lines of the tables lead to."""


def kind_merge(
    round_: int,
    kind: KindPlan,
    outputs: Mapping[str, tuple[str, bool]],
    client: str | None,
    shown: frozenset[str] | None = None,
) -> KindMerge:
    """`outputs` maps repositories to their commit and to whether the reader may open it; `client` is the one whose
    neighbourhood is asked for; `shown` are the clients whose lines are wanted, all without it."""
    few = len(kind.inputs) <= FEW
    personal = any(output.client for output in kind.outputs)
    tables = few and personal
    wanted = [
        output
        for output in kind.outputs
        if not (tables and output.client) and (shown is None or output.client is None or output.client in shown)
    ]
    return KindMerge(
        kind=kind.kind,
        rule=merge_tables.rule_words(kind),
        inputs=tuple(each.client for each in kind.inputs),
        lines=tuple(_line(kind, output, outputs) for output in wanted),
        distances=merge_tables.distances(round_, kind) if few else None,
        coefficients=merge_tables.coefficients(round_, kind) if tables else None,
        neighbourhood=merge_tables.neighbourhood(round_, kind, client, NEAREST) if client else None,
        measured=kind.distances is not None,
        links=_links(kind, outputs),
    )


def line_name(output: PlanOutput) -> str:
    """For whom an output is."""
    return output.client or output.task or "everybody"


def _line(kind: KindPlan, output: PlanOutput, outputs: Mapping[str, tuple[str, bool]]) -> MergeLine:
    commit, visible = outputs.get(output.repo, (output.carried.commit if output.carried else "", False))
    found = {"name": line_name(output), "repo": output.repo, "commit": commit, "visible": visible}
    if output.carried is not None:
        return MergeLine(**found, carried=True)
    own, parts = _parts(kind, output)
    weights = [part.weight for part in parts]
    return MergeLine(
        **found,
        own=own,
        parts=tuple(parts[:PARTS]),
        more=len(parts[PARTS:]),
        more_weight=sum(weights[PARTS:]),
        even=len(weights) > 1 and own is None and max(weights) - min(weights) < EVEN,
    )


def _parts(kind: KindPlan, output: PlanOutput) -> tuple[float | None, list[MergePart]]:
    """What the client's own update weighs, where the output is a client's, and the others that weigh anything."""
    names = [each.client for each in kind.inputs]
    own = output.coefficients[names.index(output.client)] if output.client in names else None
    apart = _apart(kind, names, output.client)
    parts = [
        MergePart(client=name, weight=weight, distance=apart[j] if apart else None)
        for j, (name, weight) in enumerate(zip(names, output.coefficients, strict=True))
        if weight and name != output.client
    ]
    return own, sorted(parts, key=lambda part: (-abs(part.weight), part.client))


def _apart(kind: KindPlan, names: Sequence[str], client: str | None) -> Sequence[float] | None:
    if kind.distances is None or client not in names:
        return None
    return kind.distances.matrix[names.index(client)]


def _links(kind: KindPlan, outputs: Mapping[str, tuple[str, bool]]) -> dict[str, str]:
    """Names of lines to the pages of their outputs. A distance's line leads to the same as a coefficient's."""
    made = [(output, *outputs[output.repo]) for output in kind.outputs if output.repo in outputs]
    return {line_name(o): f"/ui/adapters/{o.repo}?rev={commit}" for o, commit, visible in made if visible}
