"""List, then watch, for one kind of object. The watch is a hint; the list is what is true.

A watch that ends goes on from where it was. A version that the server no longer knows (410, as a status or as an
event) and a watch that breaks several times in a row are answered by a new list; so is the passing of time.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from pilot_aggregator.jobs.kubernetes.templates import Object

log = logging.getLogger(__name__)

RELIST_S = 300.0
WATCH_S = (240.0, 480.0)
BROKEN_WATCHES = 3
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0


class Gone(Exception):
    """The server has forgotten the version that was asked for."""


class Source(Protocol):
    """Where objects of the kind come from. Both raise Gone, and OSError for anything else that may pass."""

    async def read_all(self) -> tuple[list[Object], str]:
        """All of them, and the version as of which this is true."""

    def watch(self, version: str, timeout_s: float) -> AsyncIterator[Object]:
        """Events since a version: `{type, object}`."""


class Sink(Protocol):
    """Who wants to know."""

    def replace(self, objects: list[Object]) -> None:
        """These are all."""

    def change(self, kind: str, thing: Object) -> None:
        """One was ADDED, MODIFIED or DELETED."""

    def heard(self) -> None:
        """The server speaks."""

    def lost(self, why: str) -> None:
        """It does not."""


class Listing:
    """Follows one kind for ever."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        relist_s: float = RELIST_S,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._source, self._sink, self._relist_s, self._sleep = source, sink, relist_s, sleep
        self.lists = 0
        self.breaks = 0

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            try:
                version = await self._list()
                failures = 0
                await self._watch(version)
            except Gone:
                log.info("the cluster has forgotten our version: listing again")
                await self._pause(0)
            except Exception as error:
                failures += 1
                self._failed(error)
                await self._pause(failures)

    async def _list(self) -> str:
        objects, version = await self._source.read_all()
        self.lists += 1
        self._sink.replace(objects)
        self._sink.heard()
        return version

    async def _watch(self, version: str) -> None:
        """Follow from a version until it is time to list again."""
        clock = asyncio.get_running_loop().time
        until, failures = clock() + self._relist_s, 0
        while (left := until - clock()) > 0 and failures < BROKEN_WATCHES:
            try:
                async for event in self._source.watch(version, min(random.uniform(*WATCH_S), max(left, 1.0))):
                    failures = 0
                    version = self._heed(event) or version
                self._sink.heard()
            except OSError as error:
                failures += 1
                self._failed(error)
                await self._pause(failures)

    def _heed(self, event: Object) -> str | None:
        """Take an event in; the version after it. What goes wrong with one object harms no other."""
        self._sink.heard()
        kind, thing = event.get("type", ""), event.get("object") or {}
        if kind == "ERROR":
            if thing.get("code") == 410:
                raise Gone
            raise OSError(f"the watch ended: {thing.get('message', thing)}")
        if kind != "BOOKMARK":
            try:
                self._sink.change(kind, thing)
            except Exception:
                log.exception("an object that cannot be read: %s", thing.get("metadata", {}).get("name"))
        version: str | None = thing.get("metadata", {}).get("resourceVersion")
        return version

    def _failed(self, error: Exception) -> None:
        self.breaks += 1
        self._sink.lost(str(error))
        log.warning("the cluster cannot be followed: %s", error)

    async def _pause(self, failures: int) -> None:
        await self._sleep(random.uniform(0.5, 1.0) * min(FIRST_PAUSE_S * 2**failures, LONGEST_PAUSE_S))
