"""One process that measures and merges, kept between requests because starting it costs more than a small merge.

It does one request after the other, dies with the aggregator, and is replaced when it is killed.
"""

import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection

from pilot_aggregator.merge.request import DistanceRequest, MergeRequest
from pilot_aggregator.merge.worker import answer


class MergeProcess:
    """Carries requests out elsewhere, so that health, API and the loop stay live."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def run(self, requests: Sequence[MergeRequest | DistanceRequest]) -> None:
        """Results stand in the requests' directories when this returns. Blocks; call it from a background thread.

        Raises:
            MergeRefused: these inputs cannot be merged; the same again would end the same way.
            OSError: this machine failed, or the process was killed; worth trying again.
        """
        for request in requests:
            pool = self._ready()
            try:
                pool.submit(answer, request).result()
            except BrokenProcessPool as error:
                self._forget(pool)
                raise OSError("the merge process was killed") from error

    def close(self) -> None:
        """Let the request at work end, and take no other."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _ready(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                spawn = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=die_with_parent)
            return self._pool

    def _forget(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None


def die_with_parent() -> None:
    """Watch for the parent's end: a worker holds its own queue open, and would wait for ever after a SIGKILL."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "called in a child"
    sentinel = parent.sentinel

    def watch() -> None:
        connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="die-with-parent", daemon=True).start()
