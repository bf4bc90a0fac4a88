"""What the routes work with."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from pilot_client.registry import RegistryClient
from pilot_http.problems import Conflict, NotFound, coded
from pilot_http.recall import Recall
from pilot_proto.local_update import LocalUpdate
from pilot_proto.report import RunReport
from pilot_proto.run import RunView

from pilot_aggregator.clock import Clock
from pilot_aggregator.federation import FederationFile
from pilot_aggregator.rounds.attempts import Attempts
from pilot_aggregator.rounds.background import Background
from pilot_aggregator.rounds.exports import Exports
from pilot_aggregator.rounds.local_updates import local_updates
from pilot_aggregator.rounds.loop import Loop
from pilot_aggregator.rounds.phases import Verb, refusal
from pilot_aggregator.rounds.reconcile import Board, Reconciler
from pilot_aggregator.rounds.report import run_report
from pilot_aggregator.rounds.view import run_view
from pilot_aggregator.store.records import AssignmentRecord, AttemptRecord, RoundRecord, RunRecord
from pilot_aggregator.store.rounds import ROUND_DOCUMENTS
from pilot_aggregator.store.store import Store

MOST_UPDATES = 5000
"""Local updates of published rounds in memory, a few kilobytes each."""

MOST_REPORTED = 5000
"""Clients of reports in memory, some numbers for each round."""


@dataclass(frozen=True)
class Service:
    """The aggregator's parts, put together once by `__main__`."""

    store: Store
    federation: FederationFile
    registry: RegistryClient
    attempts: Attempts
    exports: Exports
    background: Background
    reconciler: Reconciler
    loop: Loop
    board: Board
    clock: Clock
    spool: Path
    published: Recall[tuple[str, int], tuple[LocalUpdate, ...]] = field(
        default_factory=lambda: Recall(MOST_UPDATES, len)
    )
    """Local updates of rounds that are published, which never change: to read them again takes most of an answer."""
    reports: Recall[tuple[str, int, bool], RunReport] = field(
        default_factory=lambda: Recall(MOST_REPORTED, lambda report: len(report.clients))
    )
    """By run, its last published round, and whether the updates of the next one were read: without scores."""

    def close(self) -> None:
        """Let go of threads and connections; jobs go on, and everything else is on disk."""
        self.background.close()
        self.reconciler.actor.bench.merges.close()
        self.attempts.close()
        self.registry.transport.close()

    def check(self) -> None:
        """Raise if something that no run can do without is away."""
        self.store.check()
        self.attempts.check()

    def local_updates(self, run: RunRecord) -> tuple[LocalUpdate, ...]:
        """Those of all rounds whose updates were read, in order."""
        return tuple(found for number in range(run.published + 2) for found in self._local_updates(run, number))

    def _local_updates(self, run: RunRecord, number: int) -> tuple[LocalUpdate, ...]:
        if (known := self.published.find((run.uid, number))) is not None:
            return known
        round = self.store.round(run.uid, number, {"sealed", "updates"})
        if round is None:
            return ()
        asked = self.store.assignments(run.uid, number)
        found = tuple(local_updates(round, {each.client: each.inputs for each in asked}))
        if number <= run.published:
            self.published.keep((run.uid, number), found)
        return found

    def report(self, run: RunRecord, *, with_scores: bool = False) -> RunReport:
        """What came of it so far."""
        at_work = self.store.round(run.uid, run.published + 1, {"updates"})
        key = (run.uid, run.published, bool(at_work and at_work.updates))
        known = None if with_scores else self.reports.find(key)
        if known is not None:
            return known
        said = {round.number: round.updates or {} for round in self.store.rounds(run.uid, {"updates"})}
        found = run_report(
            run.name, run.spec.method, len(run.spec.rounds), run.clients, said, run.slots, with_scores=with_scores
        )
        if not with_scores:
            self.reports.keep(key, found)
        return found

    def run(self, name: str) -> RunRecord:
        """The run.

        Raises:
            NotFound: naming a few that exist.
        """
        run = self.store.run(name)
        if run is None:
            raise self._no_run(name)
        return run

    def round(self, run: RunRecord, number: int, documents: Collection[str] = ROUND_DOCUMENTS) -> RoundRecord:
        """A round that has been opened, with those of its documents that are wanted."""
        round = self.store.round(run.uid, number, documents)
        if round is None:
            raise NotFound(f"run {run.name!r} has not opened round {number}", hint=f"it is at round {run.round}")
        return round

    def assignment(self, run: RunRecord, number: int, client: str) -> AssignmentRecord:
        """A client's part in a round."""
        self.round(run, number, ())
        return self.part(run.name, number, client)

    def part(self, run: str, number: int, client: str) -> AssignmentRecord:
        """The same for the client itself, which asks often, and of whose run nothing else needs to be read."""
        uid = self.store.uid(run)
        if uid is None:
            raise self._no_run(run)
        record = self.store.assignment(uid, number, client)
        if record is None:
            raise NotFound(f"client {client!r} was not asked in round {number} of run {run!r}")
        return record

    def _no_run(self, name: str) -> NotFound:
        known = ", ".join(r.name for r in self.store.runs(None, 5, None)) or "none yet"
        return NotFound(f"there is no run {name!r}", hint=f"the newest runs: {known}")

    def last_attempt(self, run: RunRecord, number: int, client: str) -> AttemptRecord:
        """A client's newest attempt in a round."""
        found = [a for a in self.store.attempts(run.uid, number) if a.client == client]
        if not found:
            raise NotFound(f"client {client!r} has no attempt in round {number} of run {run.name!r}")
        return found[-1]

    def allow(self, run: RunRecord, verb: Verb) -> None:
        """Refuse a verb that the run's phase does not know."""
        why = refusal(verb, run.phase)
        if why:
            raise coded(Conflict, "wrong_phase", why)

    def view(self, run: RunRecord) -> RunView:
        """The run as the API shows it."""
        return run_view(run, self.store, self.reconciler.views.get((run.uid, run.round)), self.board)


def service_of(request: Request) -> Service:
    """The service behind a request."""
    service: Service = request.app.state.service
    return service


Aggregator = Annotated[Service, Depends(service_of)]
