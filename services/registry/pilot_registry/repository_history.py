"""What was done to a repository: where its aliases went, and what the audit has of it."""

from pilot_http.auth import Principal
from pilot_proto.registry import AliasView, AuditEntry, AuditPage
from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from pilot_registry import paging
from pilot_registry.context import Registry
from pilot_registry.tables import AuditRow, Version
from pilot_registry.visibility import visible_to

MOST_MOVES = 50
MOVED, PUBLISHED = "alias-moved", "published"


def alias_moves(registry: Registry, principal: Principal, repo: str) -> tuple[AliasView, ...]:
    """Where people pointed its aliases, newest first, as far as the targets may be seen."""
    seen = select(Version.commit).where(Version.repo == repo, visible_to(principal))
    moves = select(AuditRow).where(AuditRow.action == MOVED, _aliases_of(repo), AuditRow.detail.in_(seen))
    with registry.database.reading() as session:
        rows = session.scalars(moves.order_by(AuditRow.sequence.desc()).limit(MOST_MOVES))
        return tuple(
            AliasView(
                repo=repo, alias=row.object.rpartition("@")[2], commit=row.detail, moved_at=row.at, moved_by=row.by
            )
            for row in rows
        )


def audit(registry: Registry, repo: str, limit: int, cursor: str | None) -> AuditPage:
    """The entries of a repository, of its aliases and of the rounds that published into it, newest first."""
    with registry.database.reading() as session:
        places = or_(AuditRow.object == repo, _aliases_of(repo), _published_into(session, repo))
        query = select(AuditRow).where(places).order_by(AuditRow.sequence.desc()).limit(limit + 1)
        if (position := paging.below(cursor)) is not None:
            query = query.where(AuditRow.sequence < position)
        rows = session.scalars(query).all()
    items = tuple(
        AuditEntry(sequence=row.sequence, at=row.at, by=row.by, action=row.action, object=row.object, detail=row.detail)
        for row in rows[:limit]
    )
    return AuditPage(items=items, next=paging.after(items[-1].sequence) if len(rows) > limit else None)


def _aliases_of(repo: str) -> ColumnElement[bool]:
    # A range, which an index has: "A" follows "@".
    return and_(AuditRow.object > f"{repo}@", AuditRow.object < f"{repo}A")


def _published_into(session: Session, repo: str) -> ColumnElement[bool]:
    run = repo.partition("/")[0]
    rounds = session.scalars(select(Version.round).where(Version.repo == repo, Version.run == run).distinct())
    return and_(AuditRow.action == PUBLISHED, AuditRow.object.in_([f"{run}/{number}" for number in rounds]))
