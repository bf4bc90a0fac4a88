"""Who did what: one line for each journal entry, never changed."""

from pilot_proto.registry import AuditEntry, AuditPage
from sqlalchemy import select

from pilot_registry import paging
from pilot_registry.context import Registry
from pilot_registry.tables import AuditRow


def page(registry: Registry, limit: int, cursor: str | None) -> AuditPage:
    """Newest first."""
    query = select(AuditRow).order_by(AuditRow.sequence.desc()).limit(limit + 1)
    position = paging.below(cursor)
    if position is not None:
        query = query.where(AuditRow.sequence < position)
    with registry.database.reading() as session:
        rows = session.scalars(query).all()
    items = tuple(
        AuditEntry(sequence=row.sequence, at=row.at, by=row.by, action=row.action, object=row.object, detail=row.detail)
        for row in rows[:limit]
    )
    return AuditPage(items=items, next=paging.after(items[-1].sequence) if len(rows) > limit else None)
