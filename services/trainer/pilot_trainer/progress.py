"""Progress reports that can never hold up training: at most one a second, the latest only, lost without regret."""

import logging
import threading
from collections.abc import Callable

from pilot_client.errors import ApiError, Unreachable
from pilot_proto.run import Progress

log = logging.getLogger(__name__)

INTERVAL_S = 1.0


class Reporter:
    """Sends from a thread of its own, because the aggregator may be slow or away."""

    def __init__(self, send: Callable[[Progress], None], interval_s: float = INTERVAL_S) -> None:
        self._send, self._interval_s = send, interval_s
        self._latest: Progress | None = None
        self._changed, self._closed = threading.Condition(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def report(self, progress: Progress) -> None:
        """Replace what is to be sent next. Returns at once."""
        with self._changed:
            self._latest = progress
            self._changed.notify()

    def close(self) -> None:
        """Send nothing more. A report on its way gets a second, not the minute that a dead line may take."""
        self._closed.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(self._interval_s)

    def _run(self) -> None:
        while not self._closed.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._latest is not None or self._closed.is_set())
                progress, self._latest = self._latest, None
            if progress is None:
                return
            try:
                self._send(progress)
            except (ApiError, Unreachable) as error:
                log.debug("progress not delivered", extra={"reason": str(error)})
            self._closed.wait(self._interval_s)
