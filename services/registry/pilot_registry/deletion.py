"""Deleting a version: a tombstone, unless something stands on it. The bytes are left to the garbage collection."""

import re
from collections.abc import Sequence

from pilot_http.auth import Principal
from pilot_http.problems import Conflict, Invalid, coded
from pilot_proto.registry import Dependants, VersionRef, VersionView
from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session

from pilot_registry import catalog
from pilot_registry.context import Registry
from pilot_registry.grants import RELEASED
from pilot_registry.hindrances import Handout, Standing, Unended, hindrances
from pilot_registry.records import Deleted
from pilot_registry.tables import Alias, Edge, GrantRow, Readable, Round, Version
from pilot_registry.visibility import visible_to

MOST_CHILDREN = 50
PUBLISHED_ALIAS = re.compile(r"^(main|round-\d+)$")


def dependants(
    registry: Registry, principal: Principal, repo: str, revision: str, unended: Sequence[Unended]
) -> Dependants:
    """What stands on a version; raises NotFound."""
    with registry.database.reading() as session:
        version = catalog.find(session, principal, repo, revision)
        below = _children(version)
        seen = below.where(visible_to(principal))
        shown = session.execute(seen.order_by(Version.id.desc()).limit(MOST_CHILDREN))
        return Dependants(
            version=VersionRef(repo=version.repo, commit=version.commit),
            aliases=tuple(sorted(_aliases(session, version))),
            children=tuple(VersionRef(repo=child.repo, commit=child.commit) for child in shown),
            children_count=session.scalar(select(func.count()).select_from(seen.subquery())) or 0,
            released=_released(session, version),
            hindrances=hindrances(standing(session, version, unended)),
        )


def delete(registry: Registry, principal: Principal, repo: str, commit: str, unended: Sequence[Unended]) -> VersionView:
    """Make a version a tombstone; one that is a tombstone already stays as it is.

    Raises:
        Invalid: not a commit. NotFound: there is no such version.
        Conflict: `in_use`, with everything that stands on it.
    """
    if not catalog.COMMIT_PATTERN.match(commit):
        raise Invalid(f"{commit[:80]!r} is not a commit", hint="name the 40 digits: what an alias names can change")
    with registry.database.writing() as session:
        version = catalog.find(session, principal, repo, commit)
        if version.deleted_at is None:
            _check(session, version, unended)
            registry.journal.append(session, Deleted(repo=repo, commit=commit), str(principal))
            session.refresh(version)
        (view,) = catalog.views(session, [version])
    registry.journal.drain()
    return view


def standing(session: Session, version: Version, unended: Sequence[Unended]) -> Standing:
    """What needs a version, given the runs that have not ended."""
    return Standing(
        aliases=tuple(sorted(name for name in _aliases(session, version) if not PUBLISHED_ALIAS.match(name))),
        grants=_open_grants(session, version),
        released=_released(session, version),
        handed_out=tuple(sorted(run.name for run in unended if _hands_out(session, run, version))),
        unmerged=_unmerged(session, version, unended),
    )


def _check(session: Session, version: Version, unended: Sequence[Unended]) -> None:
    reasons = hindrances(standing(session, version, unended))
    if reasons:
        detail = f"{version.repo}@{version.commit[:12]} is needed: {'; '.join(reasons)}"
        raise coded(Conflict, "in_use", detail, hint="move, end or delete that first")


def _aliases(session: Session, version: Version) -> list[str]:
    query = select(Alias.alias).where(Alias.repo == version.repo, Alias.commit == version.commit)
    return list(session.scalars(query))


def _children(version: Version) -> Select[str, str]:
    of = (Edge.parent_commit == version.commit, Edge.parent_repo == version.repo)
    made = select(Edge.version_id).where(*of)
    return select(Version.repo, Version.commit).where(Version.id.in_(made))


def _released(session: Session, version: Version) -> tuple[str, ...]:
    copies = _children(version).where(Version.repo.startswith(f"{RELEASED}/"), Version.deleted_at.is_(None))
    return tuple(sorted({copy.repo for copy in session.execute(copies)}))


def _open_grants(session: Session, version: Version) -> tuple[Handout, ...]:
    place = (GrantRow.uid == Readable.uid) & (GrantRow.number == Readable.number) & (GrantRow.client == Readable.client)
    query = (
        select(Round.run, Round.number, Readable.client)
        .join(Round, (Round.uid == Readable.uid) & (Round.number == Readable.number))
        .join(GrantRow, place)
        .where(Readable.commit == version.commit, GrantRow.revoked_at.is_(None), Round.sealed.is_(None))
    )
    return tuple(Handout(run, number, client) for run, number, client in session.execute(query))


def _hands_out(session: Session, run: Unended, version: Version) -> bool:
    """Whether a run's next round may give a version to somebody: what stands at `main` of its repositories, what its
    last round gave, and, before it has a round, all that its source has."""
    if version.kind == "update":
        return False
    if version.uid == run.uid and "main" in _aliases(session, version):
        return True
    last = session.scalar(select(func.max(GrantRow.number)).where(GrantRow.uid == run.uid))
    if last is None:
        return run.source is not None and run.source == version.run
    given = (Readable.uid == run.uid, Readable.number == last, Readable.commit == version.commit)
    return bool(session.scalar(select(exists().where(*given))))


def _unmerged(session: Session, version: Version, unended: Sequence[Unended]) -> str:
    if version.kind != "update" or version.uid not in {run.uid for run in unended}:
        return ""
    round_ = session.get(Round, (version.uid, version.round))
    return version.run if round_ is None or round_.publication is None else ""
