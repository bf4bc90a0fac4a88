"""A version between its parents and its children. Pure."""

from collections.abc import Sequence

from pilot_registry.family import Relative
from pilot_registry.lineage import Node
from pilot_registry.ui.views.drawing import Drawing, Line, Spot, curve, thickness, told

MOST = 20
"""On each side; the table beside it has all."""
WIDTH, HEIGHT, GAP, BETWEEN, EDGE = 250.0, 40.0, 10.0, 110.0, 6.0


def family_drawing(own: Node, parents: Sequence[Relative], children: Sequence[Relative]) -> Drawing:
    """Parents on the left, children on the right, each with its weight."""
    left, right = heaviest_first(parents)[:MOST], list(children)[:MOST]
    rows = max(len(left), len(right), 1)
    height = rows * (HEIGHT + GAP) - GAP + 2 * EDGE
    spots = [_spot(own, EDGE + WIDTH + BETWEEN, (height - HEIGHT) / 2, own=True)]
    lines: list[Line] = []
    heaviest = max((abs(r.coefficient) for r in (*left, *right) if r.coefficient is not None), default=0.0)
    for side, relatives in enumerate((left, right)):
        x = EDGE if side == 0 else EDGE + 2 * (WIDTH + BETWEEN)
        top = (height - len(relatives) * (HEIGHT + GAP) + GAP) / 2
        for place, relative in enumerate(relatives):
            spots.append(_spot(relative.node, x, top + place * (HEIGHT + GAP)))
            ends = (len(spots) - 1, 0) if side == 0 else (0, len(spots) - 1)
            lines.append(_line(relative, spots, ends, heaviest))
    columns = 3 if right else 2
    width = columns * (WIDTH + BETWEEN) - BETWEEN + 2 * EDGE
    return Drawing(width=width, height=height, spots=tuple(spots), lines=tuple(lines))


def heaviest_first(relatives: Sequence[Relative]) -> list[Relative]:
    """By weight; what has none comes last, in its own order."""
    return sorted(relatives, key=lambda r: -abs(r.coefficient or 0.0))


def _spot(node: Node, x: float, y: float, *, own: bool = False) -> Spot:
    name = node.repo.partition("/")[2] or node.repo
    when = f"round {node.round}, " if node.round is not None else ""
    hidden = "" if node.visible else ", not for you"
    return Spot(
        x=x,
        y=y,
        width=WIDTH,
        height=HEIGHT,
        label=name,
        under=f"{when}{node.commit[:12]}{hidden}",
        title=f"{node.repo}, {when}{node.commit[:12]}{hidden}",
        url=f"/ui/adapters/{node.repo}?rev={node.commit}&tab=lineage" if node.visible and not own else "",
        own=own,
    )


def _line(relative: Relative, spots: Sequence[Spot], ends: tuple[int, int], heaviest: float) -> Line:
    begin, end = spots[ends[0]], spots[ends[1]]
    path = curve(begin.x + begin.width, begin.y + begin.height / 2, end.x, end.y + end.height / 2)
    weight = relative.coefficient
    title = f"{begin.label} in {end.label}: {told(weight, None)}"
    return Line(path=path, width=thickness(weight, heaviest), title=title, ends=ends, dashed=weight is None)
