"""Which version was made of which: the merges of a run as a graph."""

from collections.abc import Sequence

from pilot_http.auth import Principal
from pilot_proto.registry import LineageEdge, LineageNode, LineageView, VersionRef
from sqlalchemy import select
from sqlalchemy.orm import Session

from pilot_registry.context import Registry
from pilot_registry.tables import Edge, Version
from pilot_registry.visibility import visible_to

Key = tuple[str, str]


def lineage(registry: Registry, principal: Principal, run: str) -> LineageView:
    """The versions of a run that the caller may see, and their parents; of a hidden parent only its name."""
    with registry.database.reading() as session:
        query = select(Version).where(Version.run == run, visible_to(principal)).order_by(Version.id)
        versions = {version.id: version for version in session.scalars(query)}
        edges = session.scalars(
            select(Edge)
            .join(Version, Version.id == Edge.version_id)
            .where(Version.run == run, visible_to(principal))
            .order_by(Edge.version_id, Edge.position)
        ).all()
        known = {(version.repo, version.commit): version for version in versions.values()}
        known |= _elsewhere(session, principal, edges, known)
    nodes = {key: _node(version) for key, version in known.items()}
    for edge in edges:
        parent = (edge.parent_repo, edge.parent_commit)
        nodes.setdefault(parent, LineageNode(repo=parent[0], commit=parent[1], visible=False))
    return LineageView(
        run=run, nodes=tuple(nodes.values()), edges=tuple(_edge(edge, versions[edge.version_id]) for edge in edges)
    )


def _elsewhere(
    session: Session, principal: Principal, edges: Sequence[Edge], known: dict[Key, Version]
) -> dict[Key, Version]:
    """Parents in other runs that the caller may see."""
    missing = {(edge.parent_repo, edge.parent_commit) for edge in edges} - known.keys()
    commits = {commit for _, commit in missing}
    found = session.scalars(select(Version).where(Version.commit.in_(commits), visible_to(principal)))
    return {(version.repo, version.commit): version for version in found}


def _node(version: Version) -> LineageNode:
    return LineageNode(
        repo=version.repo,
        commit=version.commit,
        kind=version.kind,
        round=version.round,
        client=version.client,
        task=version.task,
        visible=True,
    )


def _edge(edge: Edge, child: Version) -> LineageEdge:
    return LineageEdge(
        child=VersionRef(repo=child.repo, commit=child.commit),
        parent=VersionRef(repo=edge.parent_repo, commit=edge.parent_commit),
        coefficient=edge.coefficient,
    )
