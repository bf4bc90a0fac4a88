"""Reading and writing what the aggregator remembers.

Facts (assignments, intents, the documents of a round's steps) are written when they become true, each in its own
transaction and never changed afterwards. The status of a run is written once per tick, and only if nobody else has
written it since it was read.
"""

from pathlib import Path

from pilot_disk.database import check
from sqlalchemy import Engine

from pilot_aggregator.store.clients import Clients
from pilot_aggregator.store.deliveries import Deliveries
from pilot_aggregator.store.events import Events
from pilot_aggregator.store.exports import ExportBook
from pilot_aggregator.store.runs import Runs
from pilot_aggregator.store.times import TimeBook

MIGRATIONS = Path(__file__).parent / "migrations"
LANDMARK = "runs"
"""A table that only an aggregator's database has."""


class Store(Runs, Clients, Deliveries, Events):
    """All SQL of the aggregator: one object, a file for each subject."""

    def __init__(self, engine: Engine, *, fenced: bool = False) -> None:
        super().__init__(engine, fenced=fenced)
        self.times = TimeBook(engine, self._writing)
        self.exports = ExportBook(engine, self._writing)

    def check(self) -> None:
        """Raise DatabaseUnusable if the database does not answer."""
        check(self._engine)
