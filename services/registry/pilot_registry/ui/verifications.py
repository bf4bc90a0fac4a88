"""Merges that somebody had recomputed. That may take minutes, so nobody waits for it: the page shows how far it is."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from pilot_http.problems import PilotError
from pilot_proto.base import Stored
from pilot_proto.plan import VerifyReport

log = logging.getLogger(__name__)

KEPT = 200
AT_ONCE = 2

Round = tuple[str, int]


class Verification(Stored):
    """One recomputation."""

    by: str
    began_at: datetime
    ended_at: datetime | None = None
    report: VerifyReport | None = None
    error: str = ""
    """Why there is no report."""

    @property
    def running(self) -> bool:
        return self.ended_at is None


class Verifications:
    """The last one of each round. In memory: asking again is cheap to say and always right."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._pool = ThreadPoolExecutor(AT_ONCE, "verification")
        self._lock = threading.Lock()
        self._known: OrderedDict[Round, Verification] = OrderedDict()

    def begin(self, round_: Round, by: str, work: Callable[[], VerifyReport]) -> bool:
        """Recompute a round, unless that is under way."""
        with self._lock:
            known = self._known.get(round_)
            if known is not None and known.running:
                return False
            begun = self._known[round_] = Verification(by=by, began_at=self._clock())
            self._known.move_to_end(round_)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._pool.submit(self._run, round_, begun, work)
        return True

    def find(self, round_: Round) -> Verification | None:
        """What is known of a round."""
        with self._lock:
            return self._known.get(round_)

    def close(self) -> None:
        """Take no more work; what runs only reads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, round_: Round, begun: Verification, work: Callable[[], VerifyReport]) -> None:
        result: dict[str, object]
        try:
            result = {"report": work()}
        except PilotError as error:
            result = {"error": f"{error.detail}. {error.hint}" if error.hint else error.detail}
        except Exception:
            log.exception("round %s could not be recomputed", round_)
            result = {"error": "something went wrong here; the log of the registry has it"}
        with self._lock:
            self._known[round_] = begun.model_copy(update={"ended_at": self._clock(), **result})
