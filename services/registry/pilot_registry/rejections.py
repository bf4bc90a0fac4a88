"""The record of what admission refused."""

from dataclasses import dataclass

from pilot_http.problems import PilotError
from pilot_proto.grant import Rejection
from pilot_proto.registry import RejectionPage, RejectionView
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from pilot_registry import paging
from pilot_registry.context import Registry
from pilot_registry.tables import GrantRow, RejectionRow, Round

MAX_MESSAGE = 1000


def record_rejection(registry: Registry, uid: str, round_: int, client: str, error: PilotError) -> None:
    """Note a refusal for the aggregator. Without a grant there is nobody to tell, and nothing is noted."""
    with registry.database.writing() as session:
        place = session.get(Round, (uid, round_))
        if place is None or session.get(GrantRow, (uid, round_, client)) is None:
            return
        session.add(
            RejectionRow(
                uid=uid,
                run=place.run,
                number=round_,
                client=client,
                code=error.code,
                message=error.detail[:MAX_MESSAGE],
                at=registry.journal.now(),
            )
        )


def rejections_of(session: Session, uid: str, round_: int) -> tuple[Rejection, ...]:
    """A round's rejections, oldest first."""
    rows = session.scalars(
        select(RejectionRow)
        .where(RejectionRow.uid == uid, RejectionRow.number == round_)
        .order_by(RejectionRow.sequence)
    )
    return tuple(
        Rejection(client=row.client, code=row.code, message=row.message, sequence=row.sequence) for row in rows
    )


@dataclass(frozen=True)
class Wanted:
    """What the rejections of a listing have in common; None means anything."""

    run: str | None = None
    round: int | None = None
    client: str | None = None
    code: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """In SQL."""
        equal = (
            (RejectionRow.run, self.run),
            (RejectionRow.number, self.round),
            (RejectionRow.client, self.client),
            (RejectionRow.code, self.code),
        )
        return [column == value for column, value in equal if value is not None]


def page(registry: Registry, wanted: Wanted, limit: int, cursor: str | None) -> RejectionPage:
    """Rejections, newest first."""
    query = select(RejectionRow).where(*wanted.conditions()).order_by(RejectionRow.sequence.desc()).limit(limit + 1)
    position = paging.below(cursor)
    if position is not None:
        query = query.where(RejectionRow.sequence < position)
    with registry.database.reading() as session:
        rows = session.scalars(query).all()
    items = tuple(view_of(row) for row in rows[:limit])
    return RejectionPage(items=items, next=paging.after(items[-1].sequence) if len(rows) > limit else None)


def view_of(row: RejectionRow) -> RejectionView:
    return RejectionView(
        client=row.client,
        code=row.code,
        message=row.message,
        sequence=row.sequence,
        run=row.run,
        round=row.number,
        at=row.at,
    )
