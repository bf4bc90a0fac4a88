"""What the webhook is to be told, until somebody has heard it."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select, update

from pilot_aggregator.store import tables as t
from pilot_aggregator.store.records import Delivery
from pilot_aggregator.store.sql import Sql


class Deliveries(Sql):
    """The webhook's outbox; `write_status` puts into it."""

    def due_deliveries(self, now: datetime) -> list[Delivery]:
        """Those to try now, the oldest first."""
        query = select(t.deliveries).where(_pending(), t.deliveries.c.due_at <= now).order_by(t.deliveries.c.due_at)
        with self._engine.connect() as sql:
            return [Delivery(**row._mapping) for row in sql.execute(query)]

    def next_delivery(self) -> datetime | None:
        """When the next one is due."""
        with self._engine.connect() as sql:
            due: datetime | None = sql.scalar(select(func.min(t.deliveries.c.due_at)).where(_pending()))
            return due

    def change_delivery(self, delivery: Delivery, now: datetime, event: str | None = None, **values: Any) -> None:
        """How an attempt at one went; an event tells people, where there is something to tell."""
        with self._writing() as sql:
            sql.execute(update(t.deliveries).where(t.deliveries.c.id == delivery.id).values(values))
            if event:
                number = select(t.runs.c.round).where(t.runs.c.uid == delivery.uid)
                round_ = sql.scalar(number) or 0
                self._event(sql, delivery.uid, now, event, round_, "", str(values.get("error", "")))

    def count_deliveries(self) -> dict[str, int]:
        """By how they stand: `pending`, `delivered`, `given_up`."""
        d = t.deliveries.c
        state = case(
            (d.delivered_at.is_not(None), "delivered"), (d.given_up_at.is_not(None), "given_up"), else_="pending"
        )
        with self._engine.connect() as sql:
            return {row[0]: row[1] for row in sql.execute(select(state, func.count()).group_by(state))}


def _pending() -> ColumnElement[bool]:
    return and_(t.deliveries.c.delivered_at.is_(None), t.deliveries.c.given_up_at.is_(None))
