"""A version's parents and children, and the nearest versions that two have in common."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pilot_http.auth import Principal
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pilot_registry.lineage import NODE, Key, Node
from pilot_registry.tables import Edge, Version
from pilot_registry.visibility import visible_to

MOST_STEPS = 24
"""Two for each round: from a merged adapter to the updates in it, and to what those began with."""
MOST_SEEN = 4000
AT_ONCE = 500


@dataclass(frozen=True)
class Relative:
    """A parent or a child, and the parent's weight in the child."""

    node: Node
    coefficient: float | None


@dataclass(frozen=True)
class Meeting:
    """Where the ways back from two versions meet first."""

    nodes: tuple[Node, ...] = ()
    steps: int = 0
    """How many parents lie between, counted on the longer way."""
    searched: bool = True
    """False where there is more lineage than is searched."""


def parents(session: Session, principal: Principal, version: Version) -> list[Relative]:
    """In the order of the manifest; of a hidden one only its name."""
    query = select(Edge).where(Edge.version_id == version.id).order_by(Edge.position)
    edges = session.scalars(query).all()
    known = _nodes(session, principal, [(edge.parent_repo, edge.parent_commit) for edge in edges])
    return [Relative(known[edge.parent_repo, edge.parent_commit], edge.coefficient) for edge in edges]


def children(session: Session, principal: Principal, version: Version, most: int) -> tuple[list[Relative], int]:
    """The newest that may be seen, and how many there are of those."""
    of = (Edge.parent_commit == version.commit, Edge.parent_repo == version.repo, visible_to(principal))
    made = select(*NODE, Edge.coefficient).join(Edge, Edge.version_id == Version.id).where(*of)
    rows = session.execute(made.order_by(Version.id.desc()).limit(most)).all()
    count = session.scalar(select(func.count()).select_from(made.subquery())) or 0
    return [Relative(Node(*row[:-1], visible=True), row[-1]) for row in rows], count


def meet(session: Session, principal: Principal, a: Key, b: Key) -> Meeting:
    """The nearest common ancestors, which one of the two may be itself; nobody looks behind what may not be seen."""
    seen: tuple[set[Key], set[Key]] = ({a}, {b})
    edge: list[set[Key]] = [{a}, {b}]
    for step in range(MOST_STEPS + 1):
        if common := seen[0] & seen[1]:
            return Meeting(tuple(_nodes(session, principal, sorted(common)).values()), step)
        if not any(edge):
            return Meeting()
        if sum(map(len, seen)) > MOST_SEEN:
            break
        for known, side in zip(seen, (0, 1), strict=True):
            edge[side] = set(_parents(session, principal, edge[side])) - known
            known |= edge[side]
    return Meeting(searched=False)


def _parents(session: Session, principal: Principal, of: Iterable[Key]) -> Iterator[Key]:
    made = select(Edge.parent_repo, Edge.parent_commit).join(Version, Version.id == Edge.version_id)
    for commits in _pieces([commit for _, commit in sorted(of)]):
        rows = session.execute(made.where(Version.commit.in_(commits), visible_to(principal)))
        yield from ((repo, commit) for repo, commit in rows)


def _nodes(session: Session, principal: Principal, keys: list[Key]) -> dict[Key, Node]:
    found = {key: Node(*key) for key in keys}
    for commits in _pieces([commit for _, commit in keys]):
        seen = session.execute(select(*NODE).where(Version.commit.in_(commits), visible_to(principal)))
        found |= {(row.repo, row.commit): Node(*row, visible=True) for row in seen if (row.repo, row.commit) in found}
    return found


def _pieces(values: list[str]) -> Iterator[list[str]]:
    return (values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE))
