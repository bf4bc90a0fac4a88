"""Carrying out a decision. Every action may be cut off anywhere and done again."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pilot_client.errors import ApiError
from pilot_proto.assignment import Assignment
from pilot_proto.boundaries import Boundary, reached

from pilot_aggregator.rounds import decide as d
from pilot_aggregator.rounds.assign import grant_for, plan_round
from pilot_aggregator.rounds.attempts import Attempts
from pilot_aggregator.rounds.conclude import Conclusion
from pilot_aggregator.rounds.measuring import Measuring
from pilot_aggregator.rounds.workbench import Workbench
from pilot_aggregator.store.records import RoundRecord, RunRecord

LAUNCHES = 100
"""Attempts that are begun in one step, so that other runs get their turn between the steps of a large one."""


@dataclass
class Actor:
    """The hands of the reconciler. Each method answers whether it did something, so that looking again is worth it."""

    attempts: Attempts
    bench: Workbench
    granted: set[tuple[str, int]] = field(default_factory=set)
    """Rounds whose grants this process knows to be in the registry; after a restart they are PUT again."""

    def __post_init__(self) -> None:
        self.measuring = Measuring(self.bench)
        self.conclusion = Conclusion(self.bench)

    def carry_out(self, run: RunRecord, round: RoundRecord | None, decision: d.Decision) -> bool:
        """Do one decision."""
        match decision:
            case d.Wait():
                return False
            case d.OpenRound(number):
                return self._open(run, number)
            case d.Finish() | d.Fail() | d.Cancel():
                return self._end(run, decision)
        assert round is not None, "every other decision is about a round"
        match decision:
            case d.Launch(clients):
                return self._launch(run, round, clients)
            case d.Stop(clients, reason):
                return self._stop(run, round, clients, reason)
            case d.NoteQuorum():
                return self.bench.step(round, "QuorumReached", "", quorum_at=self.bench.clock.now())
            case d.Seal():
                return self._seal(run, round)
            case d.Measure():
                return self.measuring.measure(run, round)
            case d.Plan():
                return self.conclusion.plan(run, round)
            case d.Merge():
                return self.conclusion.merge(run, round)
            case d.Publish():
                return self.conclusion.publish(run, round)

    def ensure_grants(self, run: RunRecord, round: RoundRecord) -> None:
        """Every client of an open round has its grant. The same again does nothing in the registry."""
        key = (run.uid, round.number)
        if key in self.granted:
            return
        plan, history = run.plan, run.history
        asked = [Assignment.read(record.body) for record in self.bench.store.assignments(run.uid, round.number)]
        grants = [grant_for(plan, history, assignment) for assignment in asked]
        self.bench.registry.put_grants(run.uid, round.number, grants)
        self.granted.add(key)

    def _open(self, run: RunRecord, number: int) -> bool:
        assignments = plan_round(run.plan, run.history, number)
        self.bench.store.open_round(run.uid, number, run.plan.program(number), assignments, self.bench.clock.now())
        return True

    def _launch(self, run: RunRecord, round: RoundRecord, clients: tuple[str, ...]) -> bool:
        tried = Counter(attempt.client for attempt in self.bench.store.attempts(run.uid, round.number))
        self.attempts.launch(run, round.number, {client: tried[client] + 1 for client in clients[:LAUNCHES]})
        return True

    def _stop(self, run: RunRecord, round: RoundRecord, clients: tuple[str, ...], reason: str) -> bool:
        known = self.bench.store.attempts(run.uid, round.number)
        stopped = set(clients)
        self.attempts.stop([a for a in known if a.client in stopped], "Lost", reason)
        return True

    def _seal(self, run: RunRecord, round: RoundRecord) -> bool:
        sealed = self.bench.registry.seal(run.uid, round.number)
        reached(Boundary.SEALED)
        self.bench.step(round, "RoundSealed", f"{len(sealed.updates)} updates", sealed=sealed)
        answered, known = {update.client for update in sealed.updates}, self.bench.store.attempts(run.uid, round.number)
        self.attempts.conclude([attempt for attempt in known if attempt.client in answered])
        late = [attempt for attempt in known if attempt.client not in answered]
        self.attempts.stop(late, "Stopped", "the round was sealed")
        return True

    def _end(self, run: RunRecord, decision: d.Finish | d.Fail | d.Cancel) -> bool:
        with _perhaps_unknown():
            self.bench.registry.revoke_grants(run.uid)
        if run.round >= 0:
            self.attempts.stop(self.bench.store.attempts(run.uid, run.round), "Stopped", "the run has ended")
        self.attempts.end_run(run, cancelled=isinstance(decision, d.Cancel))
        if run.spec.retention.raw_updates != "forever":
            # The round at work too: what was admitted in it is as private as what was merged.
            for number in range(run.published + 2):
                with _perhaps_unknown():
                    self.bench.registry.retire(run.uid, number)
            self.bench.forget(run)
        return False


@contextmanager
def _perhaps_unknown() -> Iterator[None]:
    """The registry hears of a run and its rounds by their first grants; round 0 of a run with start_from has none."""
    try:
        yield
    except ApiError as error:
        if error.status != 404:
            raise
