"""Clients in a round: what each is asked, and its attempts at it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, insert, select, update

from pilot_aggregator.jobs.backend import Rendered
from pilot_aggregator.rounds.decide import ACTIVE
from pilot_aggregator.store import tables as t
from pilot_aggregator.store.documents import dump, load
from pilot_aggregator.store.records import AssignmentRecord, AttemptChange, AttemptRecord, Intent
from pilot_aggregator.store.sql import Sql, event_row

ATTEMPT = [column for column in t.attempts.c if column.name not in ("rendered", "timings")]
"""What the loop needs of an attempt: its job is large, and its timings are for people (`TimeBook`)."""


class Clients(Sql):
    """Assignments and attempts."""

    def assignments(self, uid: str, number: int) -> list[AssignmentRecord]:
        query = select(t.assignments).where(t.assignments.c.uid == uid, t.assignments.c.number == number)
        with self._engine.connect() as sql:
            return [AssignmentRecord(**row._mapping) for row in sql.execute(query.order_by(t.assignments.c.client))]

    def assignment(self, uid: str, number: int, client: str) -> AssignmentRecord | None:
        """One client's part in a round."""
        c = t.assignments.c
        with self._engine.connect() as sql:
            found = sql.execute(select(t.assignments).where(c.uid == uid, c.number == number, c.client == client))
            row = found.first()
            return AssignmentRecord(**row._mapping) if row else None

    def change_assignment(self, uid: str, number: int, client: str, **values: Any) -> None:
        """`failure`, `budget_from`, `verdict` and what belongs to it, of a client in a round."""
        where = and_(t.assignments.c.uid == uid, t.assignments.c.number == number, t.assignments.c.client == client)
        with self._writing() as sql:
            sql.execute(update(t.assignments).where(where).values(values))

    def attempts(self, uid: str, number: int) -> list[AttemptRecord]:
        query = select(*ATTEMPT).where(t.attempts.c.uid == uid, t.attempts.c.number == number)
        with self._engine.connect() as sql:
            rows = sql.execute(query.order_by(t.attempts.c.client, t.attempts.c.attempt))
            return [AttemptRecord(**row._mapping) for row in rows]

    def rendered(self, job: str) -> Rendered:
        """A job as it was intended."""
        with self._engine.connect() as sql:
            found: Rendered = load(Rendered, sql.scalar(select(t.attempts.c.rendered).where(t.attempts.c.job == job)))
            return found

    def intend(self, uid: str, number: int, intents: Sequence[Intent], now: datetime) -> list[AttemptRecord]:
        """Store that jobs are about to be created: all of them, or none."""
        place = {"uid": uid, "number": number, "message": "", "intended_at": now, "state": "Intended", "created": False}
        rows = [
            {
                **place,
                "client": intent.client,
                "attempt": intent.attempt,
                "job": intent.job,
                "rendered": dump(Rendered, intent.rendered),
            }
            for intent in intents
        ]
        with self._writing() as sql:
            sql.execute(insert(t.attempts), rows)
            self._events(sql, [event_row(uid, now, "AttemptIntended", number, i.client, i.job) for i in intents])
        return [
            AttemptRecord(
                uid=uid,
                number=number,
                client=intent.client,
                attempt=intent.attempt,
                job=intent.job,
                state="Intended",
                created=False,
                exit_code=None,
                message="",
                intended_at=now,
                started_at=None,
                ended_at=None,
            )
            for intent in intents
        ]

    def change_attempts(self, changes: Sequence[AttemptChange], now: datetime) -> None:
        """What has become of jobs, in one transaction."""
        if not changes:
            return
        # One statement for all that change alike: with a thousand jobs, building statements is most of the work.
        alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for change in changes:
            values = {**change.values, "its_job": change.attempt.job}
            alike.setdefault(tuple(change.values), []).append(values)
        with self._writing() as sql:
            for names, rows in alike.items():
                values = {name: bindparam(name) for name in names}
                sql.execute(update(t.attempts).where(t.attempts.c.job == bindparam("its_job")).values(values), rows)
            self._events(sql, [_event_of(change, now) for change in changes if change.event])

    def active_attempt_states(self) -> list[str]:
        """The state of every attempt that has not ended."""
        with self._engine.connect() as sql:
            rows = sql.execute(select(t.attempts.c.state).where(t.attempts.c.state.in_(sorted(ACTIVE))))
            return [row.state for row in rows]


def _event_of(change: AttemptChange, at: datetime) -> dict[str, Any]:
    attempt = change.attempt
    message = str(change.values.get("message", ""))
    return event_row(attempt.uid, at, str(change.event), attempt.number, attempt.client, message)
