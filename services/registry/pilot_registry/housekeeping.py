"""What an admin starts from a page and what can take minutes: one thing at a time, beside the answering of requests.

What came of it is kept in memory: it is about one moment, and can be asked again after a restart.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Literal, get_args

from pilot_http.problems import Conflict, coded
from pilot_proto.base import Stored
from pilot_proto.registry import CheckReport, GcReport, ReindexReport

from pilot_registry import garbage, integrity
from pilot_registry.context import Registry

log = logging.getLogger(__name__)

Kind = Literal["gc-dry-run", "gc", "check", "check-deep", "reindex"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Spawn = Callable[[Callable[[], None]], object]


class Chore(Stored):
    """Something that was begun."""

    kind: Kind
    by: str
    began_at: datetime
    ended_at: datetime | None = None
    """None while it is at work."""
    gc: GcReport | None = None
    check: CheckReport | None = None
    reindex: ReindexReport | None = None
    error: str = ""
    """Why it ended without a report."""


def in_a_thread(work: Callable[[], None]) -> None:
    """A daemon: the end of the service does not wait for it, and everything here can be cut off anywhere."""
    threading.Thread(target=work, daemon=True, name="housekeeping").start()


class Housekeeping:
    """The chores of one registry."""

    def __init__(self, registry: Registry, spawn: Spawn = in_a_thread) -> None:
        self._registry = registry
        self._spawn = spawn
        self._lock = threading.Lock()
        self._at_work: Chore | None = None
        self._done: dict[Kind, Chore] = {}

    def begin(self, kind: Kind, by: str) -> Chore:
        """Start something.

        Raises:
            Conflict: `housekeeping_busy`, something else is at work.
        """
        with self._lock:
            if self._at_work is not None:
                busy, since = self._at_work.kind, self._at_work.began_at
                detail = f"{busy} is at work since {since:%H:%M:%S} UTC"
                raise coded(Conflict, "housekeeping_busy", detail, hint="wait until it has ended; System shows it")
            begun = self._at_work = Chore(kind=kind, by=by, began_at=self._registry.clock())
        self._spawn(lambda: self._work(begun))
        return begun

    def seen(self) -> tuple[Chore, ...]:
        """What is at work, and the last of each kind that has ended; the newest first."""
        with self._lock:
            known = [*self._done.values(), *([self._at_work] if self._at_work else [])]
        return tuple(sorted(known, key=lambda chore: chore.began_at, reverse=True))

    def _work(self, begun: Chore) -> None:
        came: dict[str, Stored | str]
        try:
            came = {**self._done_as(begun.kind)}
        except Exception as error:
            log.exception("%s, begun by %s, failed", begun.kind, begun.by)
            came = {"error": str(error) or type(error).__name__}
        ended = begun.model_copy(update={**came, "ended_at": self._registry.clock()})
        with self._lock:
            self._done[begun.kind], self._at_work = ended, None

    def _done_as(self, kind: Kind) -> dict[str, Stored]:
        """What is called so, done now; its report by its field."""
        registry = self._registry
        if kind in ("gc", "gc-dry-run"):
            grace = registry.settings.gc_grace_s
            return {"gc": garbage.collect(registry, grace, dry_run=kind == "gc-dry-run")}
        if kind in ("check", "check-deep"):
            return {"check": integrity.check(registry, deep=kind == "check-deep")}
        records, versions = registry.journal.rebuild()
        return {"reindex": ReindexReport(records=records, versions=versions)}
