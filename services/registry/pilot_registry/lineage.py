"""Which version was made of which: the merges of a run as a graph."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pilot_http.auth import Principal
from pilot_proto.names import update_repo
from pilot_proto.plan import MergePlan
from pilot_proto.registry import LineageEdge, LineageNode, LineageView, VersionRef
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from pilot_registry.context import Registry
from pilot_registry.tables import Edge, Namespace, Round, Version
from pilot_registry.visibility import visible_to

Key = tuple[str, str]
"""A repository and a commit."""
EdgeRow = Row[str, str, str, str, float | None]
NODE = (Version.repo, Version.commit, Version.kind, Version.round, Version.client, Version.task)


@dataclass(frozen=True)
class Part:
    """What of a run's lineage is wanted; None means all."""

    kind: str | None = None
    """The way of one kind of adapter, through the updates that carry it."""
    client: str | None = None
    """What was made for this client or by it, and what that touches."""
    round: int | None = None
    """What was made in this round."""


@dataclass(frozen=True, slots=True)
class Node:
    """A version, or the name of one that may not be seen."""

    repo: str
    commit: str
    kind: str | None = None
    round: int | None = None
    client: str | None = None
    task: str | None = None
    visible: bool = False

    @property
    def ref(self) -> VersionRef:
        return VersionRef(repo=self.repo, commit=self.commit)


@dataclass(frozen=True, slots=True)
class Link:
    """A version and one of its parents."""

    child: Node
    parent: Node
    coefficient: float | None
    distance: float | None = None
    """Between the update that went in and the update of the client for whom the child was made."""


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they came, parents in the order of their manifest."""

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]


def lineage(registry: Registry, principal: Principal, run: str, part: Part) -> LineageView:
    """The versions of a run that the caller may see, and their parents; of a hidden parent only its name."""
    found = graph(registry, principal, run, part)
    return LineageView(
        run=run,
        nodes=tuple(LineageNode.model_validate(node, from_attributes=True) for node in found.nodes),
        edges=tuple(
            LineageEdge(
                child=link.child.ref, parent=link.parent.ref, coefficient=link.coefficient, distance=link.distance
            )
            for link in found.links
        ),
    )


def graph(registry: Registry, principal: Principal, run: str, part: Part) -> Graph:
    """The same as values."""
    with registry.database.reading() as session:
        seen = (Version.run == run, visible_to(principal))
        rows = session.execute(select(*NODE).where(*seen).order_by(Version.id)).all()
        nodes = {(row.repo, row.commit): Node(*row, visible=True) for row in rows}
        edges = session.execute(
            select(Version.repo, Version.commit, Edge.parent_repo, Edge.parent_commit, Edge.coefficient)
            .join(Version, Version.id == Edge.version_id)
            .where(*seen)
            .order_by(Edge.version_id, Edge.position)
        ).all()
        nodes |= _elsewhere(session, principal, edges, nodes)
        plans = _plans(session, run)
    links = [_link(edge, nodes) for edge in edges]
    wanted = [link for link in links if _wanted(link, part)]
    measured = _measured(registry, run, plans, wanted)
    kept = {(node.repo, node.commit): node for node in _kept(nodes.values(), measured, part)}
    return Graph(tuple(kept.values()), tuple(measured))


def _elsewhere(
    session: Session, principal: Principal, edges: Iterable[EdgeRow], known: dict[Key, Node]
) -> dict[Key, Node]:
    """Parents in other runs that the caller may see."""
    commits = {edge.parent_commit for edge in edges if (edge.parent_repo, edge.parent_commit) not in known}
    found = session.execute(select(*NODE).where(Version.commit.in_(commits), visible_to(principal)))
    return {(row.repo, row.commit): Node(*row, visible=True) for row in found}


def _link(edge: EdgeRow, nodes: dict[Key, Node]) -> Link:
    repo, commit, parent_repo, parent_commit, coefficient = edge
    parent = nodes.get((parent_repo, parent_commit)) or Node(parent_repo, parent_commit)
    return Link(nodes[repo, commit], parent, coefficient)


def _wanted(link: Link, part: Part) -> bool:
    if part.round is not None and link.child.round != part.round:
        return False
    if part.client is not None and not (_of_client(link.child, part.client) or _of_client(link.parent, part.client)):
        return False
    return part.kind is None or part.kind in (link.child.kind, link.parent.kind)


def _of_client(node: Node, client: str) -> bool:
    return node.client == client or node.repo.partition("/")[2] == f"client-{client}-update"


def _kept(nodes: Iterable[Node], links: Sequence[Link], part: Part) -> Iterable[Node]:
    """The nodes of a part: its own, whether linked or not, and what they are linked to."""
    linked = [end for link in links for end in (link.child, link.parent)]
    own = (node for node in nodes if part == Part() or _alone(node, part))
    return (*own, *linked)


def _alone(node: Node, part: Part) -> bool:
    """Whether a node belongs to a part without a link: an update belongs to a kind only by what was made of it."""
    at_place = part.round in (None, node.round) and (part.client is None or _of_client(node, part.client))
    return at_place and part.kind in (None, node.kind)


def _plans(session: Session, run: str) -> dict[int, str]:
    """Round to the digest of its merge plan."""
    uid = session.scalar(select(Namespace.uid).where(Namespace.run == run))
    rounds = session.execute(select(Round.number, Round.plan).where(Round.uid == uid, Round.plan.is_not(None)))
    return {number: plan for number, plan in rounds if plan}


def _measured(registry: Registry, run: str, plans: dict[int, str], links: Sequence[Link]) -> list[Link]:
    """The links with their distances, where the plan of the child's round has any."""
    rounds = {link.child.round for link in links if link.coefficient is not None} & plans.keys()
    known = {number: _distances(registry, run, plans[number]) for number in rounds if number is not None}
    return [_with_distance(link, known) for link in links]


def _with_distance(link: Link, known: dict[int, "Distances"]) -> Link:
    child = link.child
    if link.coefficient is None or child.round not in known or child.client is None or child.kind is None:
        return link
    distance = known[child.round].between(child.kind, child.client, link.parent.repo)
    return Link(child, link.parent, link.coefficient, distance)


class Distances:
    """Of one round: how far its updates are apart, by kind."""

    def __init__(self, run: str, plan: MergePlan) -> None:
        self._run = run
        self._kinds = {
            kind.kind: ({each.repo: i for i, each in enumerate(kind.inputs)}, kind.distances.matrix)
            for kind in plan.kinds
            if kind.distances is not None
        }

    def between(self, kind: str, client: str, repo: str) -> float | None:
        """From the update of a client to the update in a repository; None where one of them was not measured."""
        places, matrix = self._kinds.get(kind, ({}, ()))  # type: ignore[call-overload]
        own, other = places.get(update_repo(self._run, client)), places.get(repo)
        return None if own is None or other is None else matrix[own][other]


def _distances(registry: Registry, run: str, plan: str) -> Distances:
    return Distances(run, registry.documents.read(MergePlan, plan) or MergePlan(run=run, round=0, program="prepare"))
