"""How the parts are that pages depend on, asked at most every few seconds."""

import threading
import time
from collections.abc import Callable

from fastapi import Request
from pilot_disk.database import check
from pilot_http.app import Version
from pilot_http.problems import PilotError
from pilot_proto.base import Stored
from sqlalchemy.exc import SQLAlchemyError

from pilot_registry.context import Registry
from pilot_registry.ui.upstream import Aggregator

HOLDS_S = 5.0


class Part(Stored):
    """One part."""

    name: str
    ok: bool
    detail: str = ""


class Health:
    """Of a registry and what it works with."""

    def __init__(self, registry: Registry, aggregator: Aggregator, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry, self._aggregator, self._clock = registry, aggregator, clock
        self._lock = threading.Lock()
        self._known: tuple[float, tuple[Part, ...]] | None = None

    def parts(self, request: Request) -> tuple[Part, ...]:
        """Bucket or folder, index, aggregator."""
        with self._lock:
            if self._known is None or self._known[0] <= self._clock():
                found = (self._store(), self._index(), self._upstream(request))
                self._known = self._clock() + HOLDS_S, found
            return self._known[1]

    def _store(self) -> Part:
        settings = self._registry.settings
        where = f"bucket {settings.s3_bucket}" if settings.store == "s3" else "folder"
        try:
            self._registry.store.ready()
        except OSError as error:
            return Part(name=where, ok=False, detail=str(error))
        return Part(name=where, ok=True)

    def _index(self) -> Part:
        try:
            check(self._registry.database.engine)
        except (SQLAlchemyError, OSError) as error:
            return Part(name="index", ok=False, detail=str(error))
        return Part(name="index", ok=True, detail=self._registry.database.engine.dialect.name)

    def _upstream(self, request: Request) -> Part:
        try:
            answer = self._aggregator.read(request, Version, "version")
        except PilotError as error:
            return Part(name="aggregator", ok=False, detail=error.detail)
        if answer.stale:
            return Part(name="aggregator", ok=False, detail="it does not answer")
        return Part(name="aggregator", ok=True, detail=answer.document.version)
