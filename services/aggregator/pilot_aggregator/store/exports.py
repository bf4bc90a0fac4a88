"""What the aggregator remembers of the Jobs that make personal models; a part of the store."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

from pilot_proto.personal_model import Point
from sqlalchemy import Connection, Engine, Row, and_, insert, select, update

from pilot_aggregator.jobs.backend import Rendered
from pilot_aggregator.rounds.decide import ACTIVE
from pilot_aggregator.store import tables as t
from pilot_aggregator.store.documents import dump, load
from pilot_aggregator.store.records import ExportRecord


class ExportBook:
    """Intended before its Job exists, changed as the Job is seen to change, kept for ever."""

    def __init__(self, engine: Engine, writing: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._engine, self._writing = engine, writing

    def newest(self, uid: str, number: int, client: str, point: Point, merge_lora: bool) -> ExportRecord | None:
        """The last Job for a model."""
        wanted = _model(uid, number, client, point, merge_lora)
        with self._engine.connect() as sql:
            row = sql.execute(select(t.exports).where(wanted).order_by(t.exports.c.sequence.desc())).first()
            return _record(row) if row else None

    def active(self) -> list[ExportRecord]:
        """Those that have not ended."""
        query = select(t.exports).where(t.exports.c.state.in_(sorted(ACTIVE))).order_by(t.exports.c.requested_at)
        with self._engine.connect() as sql:
            return [_record(row) for row in sql.execute(query)]

    def intend(self, record: ExportRecord) -> ExportRecord:
        """Store that a Job is about to be created; what somebody else intended at the same time stands instead."""
        with self._writing() as sql:
            same = and_(t.exports.c.job == record.job)
            if row := sql.execute(select(t.exports).where(same)).first():
                return _record(row)
            sql.execute(insert(t.exports).values({**asdict(record), "rendered": dump(Rendered, record.rendered)}))
        return record

    def change(self, record: ExportRecord, **values: Any) -> None:
        """What has become of a Job."""
        with self._writing() as sql:
            sql.execute(update(t.exports).where(t.exports.c.job == record.job).values(values))


def _model(uid: str, number: int, client: str, point: Point, merge_lora: bool) -> Any:
    c = t.exports.c
    place = and_(c.uid == uid, c.number == number, c.client == client)
    return and_(place, c.point == point, c.merge_lora == merge_lora)


def _record(row: Row[Any]) -> ExportRecord:
    return ExportRecord(**{**row._mapping, "rendered": load(Rendered, row.rendered)})
