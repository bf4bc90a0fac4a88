"""What the long steps of a round work with."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pilot_client.registry import RegistryClient

from pilot_aggregator.clock import Clock
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.process import MergeProcess
from pilot_aggregator.rounds.background import Background
from pilot_aggregator.rounds.spool import Spool
from pilot_aggregator.store.records import RoundRecord, RunRecord
from pilot_aggregator.store.store import Store

T = TypeVar("T")


class Unrecoverable(Exception):
    """The run cannot go on; `reason` is a word for programs."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass
class Workbench:
    """The aggregator's disk, its merge process, and its threads for what takes long."""

    store: Store
    registry: RegistryClient
    background: Background
    merges: MergeProcess
    clock: Clock
    folder: Path

    def spool(self, run: RunRecord, round: RoundRecord) -> Spool:
        """The round's files on this machine."""
        return Spool(self.folder / run.uid / str(round.number), self.registry, self.merges)

    def forget(self, run: RunRecord) -> None:
        """The run has ended: remove what is left of its files."""
        shutil.rmtree(self.folder / run.uid, ignore_errors=True)

    def step(self, round: RoundRecord, event: str, message: str, **documents: Any) -> bool:
        """Store what a step made; the answer of a step that did something."""
        self.store.store_step(round.uid, round.number, self.clock.now(), event, message, **documents)
        return True

    def long(self, run: RunRecord, round: RoundRecord, step: str, work: Callable[[], Any]) -> Any:
        """The result of work in the background, once it is there; until then None.

        Raises:
            Unrecoverable: the inputs cannot be merged. Whatever else the work raises; it is done again then.
        """
        try:
            return self.background.ensure((run.uid, round.number, step), work)
        except MergeRefused as error:
            raise Unrecoverable("MergeRefused", f"round {round.number}: {error}") from error


def there(document: T | None) -> T:
    """A document of an earlier step."""
    assert document is not None, "decide asks for a step only after the steps before it"
    return document
