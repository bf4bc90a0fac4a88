"""Work that takes long, outside the reconcile loop. Asked for by key as often as one likes; done once."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

Key = tuple[str, int, str]
"""(run uid, round, step)"""


class Background:
    """A few threads and what they were asked."""

    def __init__(self, on_done: Callable[[], None], on_awaited: Callable[[], None], threads: int = 4) -> None:
        """`on_awaited` is told when something has ended whose result somebody wants, `on_done` of everything else."""
        self._pool = ThreadPoolExecutor(threads, "background")
        self._futures: dict[Key, Future[Any]] = {}
        self._on_done = on_done
        self._on_awaited = on_awaited

    def ensure(self, key: Key, work: Callable[[], T]) -> T | None:
        """The result, once it is there; until then None. Work that failed raises here, and may be asked for again."""
        future = self._futures.get(key)
        if future is None:
            future = self._futures[key] = self._pool.submit(work)
            future.add_done_callback(lambda _: self._on_awaited())
        if not future.done():
            return None
        del self._futures[key]
        result: T = future.result()
        return result

    def start(self, key: Key, work: Callable[[], object]) -> None:
        """Do something whose result nobody needs: what goes wrong with it is met again by who needs it."""
        future = self._futures[key] = self._pool.submit(work)

        def end(done: Future[Any]) -> None:
            del self._futures[key]
            if not done.cancelled() and (error := done.exception()):
                log.info("%s ahead of time: %s", key, error)
            self._on_done()

        future.add_done_callback(end)

    def busy(self, key: Key) -> bool:
        """Whether something is being done."""
        return key in self._futures

    def close(self) -> None:
        """Stop taking work; what runs is idempotent and is done again after a restart."""
        self._pool.shutdown(wait=False, cancel_futures=True)
