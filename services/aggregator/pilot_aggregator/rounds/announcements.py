"""What happens to runs, handed on to where their jobs run: for who looks there and not here."""

import logging
from collections.abc import Callable

from sqlalchemy.exc import OperationalError

from pilot_aggregator.store.store import Store

log = logging.getLogger(__name__)

Tell = Callable[[str, str, str, str], None]
"""(run uid, Normal or Warning, reason, message)"""

WARNINGS = frozenset(
    {"AttemptFailed", "AttemptLost", "AttemptDisrupted", "AttemptPending", "JobRefused", "UploadRejected", "RunFailed"}
    | {"ExportFailed", "ExportLost", "ExportDisrupted"}
)
"""Beside these, only what happens to a whole run or round is handed on."""


class Announcements:
    """Events of the store from now on. What a predecessor left untold stays so: it is in the store."""

    def __init__(self, store: Store, tell: Tell) -> None:
        self._store, self._tell = store, tell
        self._last = store.last_event()

    def hand_on(self) -> None:
        """Whatever has been added."""
        try:
            added = self._store.all_events_after(self._last)
        except OperationalError as error:
            log.warning("the database does not answer: %s", error)
            return
        for event in added:
            self._last = event.id
            if event.type in WARNINGS or event.type.startswith(("Run", "Round")):
                kind = "Warning" if event.type in WARNINGS else "Normal"
                self._tell(event.uid, kind, event.type, _sentence(event.round, event.client, event.message))


def _sentence(round: int, client: str, message: str) -> str:
    place = f"round {round}, {client}" if client else f"round {round}"
    return f"{place}: {message}" if message else place
