"""The lineage of a run on a sheet: columns are rounds, rows are clients and tasks. Pure geometry.

In a round, what clients handed in stands left of what was made of it. A line goes from a parent to a child.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pilot_proto.base import Stored
from pilot_proto.names import PREPARER

from pilot_registry.lineage import Graph, Link, Node
from pilot_registry.ui.views.drawing import Line, Spot, curve, thickness, told

NAMED = re.compile(r"^(?P<who>client|task)-(?P<name>.+)-(?P<kind>text|connector|vision|update)$")
TOP, GAP, WIDTH, HEIGHT, LANE, PAD = 44.0, 44.0, 70.0, 18.0, 22.0, 8.0
LETTER, LONGEST_LABEL = 6.6, 20
MOST_LINES = 1500
"""More would be neither looked at nor loaded soon; the table has all."""
BEFORE = -1
"""Where parents from other runs stand."""
ORDER = {"base": 0, "task": 1, "all": 2, "client": 3}


class Row(NamedTuple):
    """A client, a task, everybody, or where all began."""

    who: str
    name: str


class Column(NamedTuple):
    """Of a round: its updates, then what was merged of them."""

    round: int
    merged: bool


class Heading(Stored):
    """Of a row or a column."""

    text: str
    x: float
    y: float
    name: str = ""
    """The client, where it is one."""


class Sheet(Stored):
    width: float
    height: float
    rounds: tuple[Heading, ...]
    columns: tuple[Heading, ...]
    rows: tuple[Heading, ...]
    spots: tuple[Spot, ...]
    lines: tuple[Line, ...]
    left_out: int = 0
    """Lines that are not drawn, because there are too many."""
    threshold: float | None = None
    """Every line of at least this weight is drawn; None where all lines with a weight are."""


@dataclass(frozen=True)
class Placed:
    """A node and its cell."""

    node: Node
    row: Row
    column: Column


def sheet(graph: Graph, run: str) -> Sheet:
    """A drawing of a run's lineage, thinned if it is large."""
    placed = _placed(graph, run)
    columns = sorted({place.column for place in placed.values()})
    rows = sorted({place.row for place in placed.values()}, key=lambda row: (ORDER[row.who], row.name))
    begin = 24 + LETTER * max((len(_label(row)) for row in rows), default=0)
    xs = {column: round(begin + i * (WIDTH + GAP), 1) for i, column in enumerate(columns)}
    ys, height = _heights(placed, rows)
    spots = _spots(placed, run, xs, ys)
    numbers = {key: number for number, key in enumerate(spots)}
    kept, left_out, threshold = _thinned(graph.links)
    return Sheet(
        width=round(begin + len(columns) * (WIDTH + GAP) - GAP + 8, 1),
        height=height,
        rounds=tuple(_round_headings(columns, xs)),
        columns=tuple(Heading(text="merged" if c.merged else "updates", x=xs[c], y=34) for c in columns),
        rows=tuple(_row_heading(row, ys[row]) for row in rows),
        spots=tuple(spots.values()),
        lines=tuple(_lines(kept, spots, numbers)),
        left_out=left_out,
        threshold=threshold,
    )


def _placed(graph: Graph, run: str) -> dict[Node, Placed]:
    rounds: dict[Node, int] = {}
    for link in graph.links:
        if not link.parent.visible and link.child.round is not None:
            # Of a hidden parent only the name is known: an update is of its child's round.
            rounds[link.parent] = min(link.child.round, rounds.get(link.parent, link.child.round))
    found = {}
    for node in graph.nodes:
        own, merged = node.repo.startswith(f"{run}/"), not node.repo.endswith("-update")
        number = node.round if node.round is not None else rounds.get(node, 0)
        column = Column(number, merged) if own else Column(BEFORE, merged=True)
        found[node] = Placed(node, row_of(node), column)
    return found


def row_of(node: Node) -> Row:
    """Whose a version is, by what is known of it or by its name."""
    name = node.repo.partition("/")[2]
    match = None if node.client else NAMED.match(name)
    client = node.client or (match["name"] if match and match["who"] == "client" else None)
    task = node.task or (match["name"] if match and match["who"] == "task" else None)
    if client and client != PREPARER:
        return Row("client", client)
    if client or name.startswith("base-"):
        return Row("base", "base")
    return Row("task", task) if task else Row("all", "everybody")


def _heights(placed: Mapping[Node, Placed], rows: Sequence[Row]) -> tuple[dict[Row, float], float]:
    """Where each row begins, and where the last one ends: a row is as high as its fullest cell."""
    cells: dict[tuple[Row, Column], int] = defaultdict(int)
    for place in placed.values():
        cells[place.row, place.column] += 1
    lanes: dict[Row, int] = defaultdict(int)
    for (row, _), count in cells.items():
        lanes[row] = max(lanes[row], count)
    ys, y = {}, TOP
    for row in rows:
        ys[row] = y
        y += lanes[row] * LANE + PAD
    return ys, y


def _spots(
    placed: Mapping[Node, Placed], run: str, xs: Mapping[Column, float], ys: Mapping[Row, float]
) -> dict[Node, Spot]:
    taken: dict[tuple[Row, Column], int] = defaultdict(int)
    found = {}
    for node, place in sorted(placed.items(), key=lambda item: (item[1].row, item[1].column, item[0].repo)):
        lane = taken[place.row, place.column]
        taken[place.row, place.column] += 1
        y = ys[place.row] + lane * LANE
        found[node] = _spot(node, place, run, xs[place.column], y)
    return found


def _spot(node: Node, place: Placed, run: str, x: float, y: float) -> Spot:
    kind = node.repo.rpartition("-")[2]
    number = place.column.round
    when = f"round {number}" if number != BEFORE else "another run"
    # By the alias of its round, which never moves: two thousand commits would be most of the page.
    revision = f"round-{node.round}" if node.repo.startswith(f"{run}/") else node.commit
    return Spot(
        x=x,
        y=y,
        width=WIDTH,
        height=HEIGHT,
        label=kind[:10],
        title=f"{place.row.name} {kind}, {when}" + ("" if node.visible else ", not for you"),
        url=f"/ui/adapters/{node.repo}?rev={revision}&tab=lineage" if node.visible else "",
    )


def _thinned(links: Sequence[Link]) -> tuple[list[Link], int, float | None]:
    """The heaviest lines, how many are left out, and from which weight on all are there."""
    if len(links) <= MOST_LINES:
        return list(links), 0, None
    by_weight = sorted(links, key=lambda link: -_weight(link))
    kept, rest = by_weight[:MOST_LINES], by_weight[MOST_LINES:]
    lightest, heaviest_gone = _weight(kept[-1]), _weight(rest[0])
    if heaviest_gone == 0:
        return kept, len(rest), None
    # Lines of one weight stay or go together, so that what is told is true.
    kept = [link for link in kept if _weight(link) > heaviest_gone] if lightest == heaviest_gone else kept
    return kept, len(links) - len(kept), _weight(kept[-1]) if kept else None


def _weight(link: Link) -> float:
    return abs(link.coefficient or 0.0)


def _lines(links: Sequence[Link], spots: Mapping[Node, Spot], numbers: Mapping[Node, int]) -> list[Line]:
    heaviest = max((_weight(link) for link in links), default=0.0)
    return [_line(link, spots, numbers, heaviest) for link in links]


def _line(link: Link, spots: Mapping[Node, Spot], numbers: Mapping[Node, int], heaviest: float) -> Line:
    begin, end = spots[link.parent], spots[link.child]
    path = curve(begin.x + begin.width, begin.y + begin.height / 2, end.x, end.y + end.height / 2)
    return Line(
        path=path,
        width=thickness(link.coefficient, heaviest),
        title=told(link.coefficient, link.distance),
        ends=(numbers[link.parent], numbers[link.child]),
        dashed=link.coefficient is None,
    )


def _round_headings(columns: Sequence[Column], xs: Mapping[Column, float]) -> list[Heading]:
    first: dict[int, float] = {}
    for column in columns:
        first.setdefault(column.round, xs[column])
    return [
        Heading(text=f"Round {number}" if number != BEFORE else "Other runs", x=x, y=16) for number, x in first.items()
    ]


def _row_heading(row: Row, y: float) -> Heading:
    return Heading(text=_label(row), x=0, y=y + 13, name=row.name if row.who == "client" else "")


def _label(row: Row) -> str:
    text = f"task {row.name}" if row.who == "task" else row.name
    return text if len(text) <= LONGEST_LABEL else f"{text[:10]}\N{HORIZONTAL ELLIPSIS}{text[-9:]}"
