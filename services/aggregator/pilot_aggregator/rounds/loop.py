"""The loop: every active run has its turn, again and again."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pilot_client.errors import Unreachable
from prometheus_client import Histogram
from sqlalchemy.exc import OperationalError

from pilot_aggregator.rounds.reconcile import Reconciler
from pilot_aggregator.store.runs import StaleStatus
from pilot_aggregator.store.store import Store

log = logging.getLogger(__name__)


class Bell:
    """What calls the loop before its time."""

    def __init__(self) -> None:
        self._rung = threading.Event()
        self._hurried = threading.Event()

    def ring(self) -> None:
        """Something happened that may let a run go on."""
        self._rung.set()

    def hurry(self) -> None:
        """What a run waited for has ended: no rest. Few things do, unlike hints."""
        self._rung.set()
        self._hurried.set()

    def clear(self) -> None:
        """Whatever rang until now is being looked at."""
        self._rung.clear()
        self._hurried.clear()

    def wait(self, seconds: float) -> bool:
        """Whether it rang, or rings within so many seconds."""
        return self._rung.wait(seconds)

    def wait_hurry(self, seconds: float) -> bool:
        """The same of a hurry; a ring alone ends nobody's rest."""
        return self._hurried.wait(seconds)


class Loop:
    """A thread that ticks every active run, when the bell rings or every `tick_s`."""

    def __init__(
        self,
        store: Store,
        reconciler: Reconciler,
        tick_s: float,
        bell: Bell,
        look: Callable[[], object] = lambda: None,
    ) -> None:
        """`look` is called before each tick: at what people may have changed meanwhile."""
        self._store = store
        self._look = look
        self._reconciler = reconciler
        self._tick_s = tick_s
        self.bell = bell
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconcile", daemon=True)
        self._resting: dict[str, Rest] = {}
        self.last_tick: datetime | None = None
        self.seconds = Histogram("pilot_reconcile_seconds", "Time to look at one run and act", registry=None)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish the tick at work, and end."""
        self._stopping.set()
        self.bell.hurry()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            self.bell.clear()
            self._look()
            if self._tick_all():
                continue
            # Hints may come faster than one can look. Half of the time is for whoever else wants this process.
            if not self.bell.wait_hurry(min(time.monotonic() - began, self._tick_s)):
                self.bell.wait(self._tick_s)

    def _tick_all(self) -> bool:
        """Give every run its turn; whether one wants the next at once."""
        try:
            names = self._store.active_runs()
        except OperationalError as error:
            log.warning("the database does not answer: %s", error)
            return False
        more = False
        for name in names:
            if self._stopping.is_set():
                return False
            if time.monotonic() >= self._resting.get(name, Rest()).until:
                more = self._tick(name) or more
        self.last_tick = self._reconciler.clock.now()
        return more

    def _tick(self, name: str) -> bool:
        more = False
        try:
            with self.seconds.time():
                more = self._reconciler.tick(name)
        except (Unreachable, OperationalError, OSError) as error:
            log.warning("run %s waits: %s", name, error)
        except StaleStatus:
            log.info("run %s was changed by somebody else; looking again", name)
            self.bell.ring()
        except Exception:
            rest = self._resting[name] = self._resting.get(name, Rest()).longer()
            log.exception("run %s: an unexpected error; trying again in %.0f s", name, rest.seconds)
        else:
            self._resting.pop(name, None)
        return more


@dataclass(frozen=True)
class Rest:
    """How long a run that meets an unexpected error is left alone, so that it fills no log and starves no other."""

    seconds: float = 0.5
    until: float = 0.0

    def longer(self) -> "Rest":
        """Twice as long, up to a minute."""
        seconds = min(2 * self.seconds, 60.0)
        return Rest(seconds, time.monotonic() + seconds)
