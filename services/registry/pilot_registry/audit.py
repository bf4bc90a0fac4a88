"""Who did what: one line for each journal entry, never changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from pilot_proto.registry import AuditEntry, AuditPage
from sqlalchemy import ColumnElement, and_, or_, select

from pilot_registry import paging
from pilot_registry.context import Registry
from pilot_registry.records import Fact
from pilot_registry.tables import AuditRow

ACTIONS: tuple[str, ...] = tuple(sorted(kind.model_fields["type"].default for kind in get_args(Fact)))
"""Everything that can be done, as the audit calls it."""

BATCH = 1000


@dataclass(frozen=True)
class Wanted:
    """What the entries of a listing have in common; None means anything."""

    action: str | None = None
    by: str | None = None
    """The principal: a role, `client:NAME`, or a role with a person's name, such as `operator:mira`."""
    object: str | None = None
    """A run, a round as `RUN/NUMBER`, or a repository; with all that is below it."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """In SQL."""
        equal = ((AuditRow.action, self.action), (AuditRow.by, self.by))
        found = [column == value for column, value in equal if value]
        return [*found, _at_or_below(self.object)] if self.object else found


def page(registry: Registry, wanted: Wanted, limit: int, cursor: str | None) -> AuditPage:
    """Newest first."""
    found = _read(registry, wanted, limit + 1, paging.below(cursor))
    items = found[:limit]
    return AuditPage(items=tuple(items), next=paging.after(items[-1].sequence) if len(found) > limit else None)


def everything(registry: Registry, wanted: Wanted, batch: int = BATCH) -> Iterator[AuditEntry]:
    """All entries, newest first; read `batch` at a time, so that a long log is never in memory as a whole."""
    position: int | None = None
    while found := _read(registry, wanted, batch, position):
        yield from found
        position = found[-1].sequence


def _read(registry: Registry, wanted: Wanted, most: int, below: int | None) -> list[AuditEntry]:
    query = select(AuditRow).where(*wanted.conditions()).order_by(AuditRow.sequence.desc()).limit(most)
    if below is not None:
        query = query.where(AuditRow.sequence < below)
    with registry.database.reading() as session:
        return [
            AuditEntry(
                sequence=row.sequence, at=row.at, by=row.by, action=row.action, object=row.object, detail=row.detail
            )
            for row in session.scalars(query)
        ]


def _at_or_below(name: str) -> ColumnElement[bool]:
    """Ranges, which an index answers, where LIKE would look at every row."""
    ranges = (and_(AuditRow.object > name + sign, AuditRow.object < name + chr(ord(sign) + 1)) for sign in "/@")
    return or_(AuditRow.object == name, *ranges)
