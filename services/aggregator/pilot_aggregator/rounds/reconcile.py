"""One run a step forward: observe, decide, act, one status write. The only place where progress is driven from."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pilot_client.registry import RegistryClient
from pilot_proto.grant import RoundView
from pilot_proto.run import Condition, Phase, Progress

from pilot_aggregator.clock import Clock
from pilot_aggregator.rounds import decide as d
from pilot_aggregator.rounds.act import Actor
from pilot_aggregator.rounds.attempts import Attempts
from pilot_aggregator.rounds.observe import clients_seen, run_seen
from pilot_aggregator.rounds.phases import NEXT, working_phase
from pilot_aggregator.rounds.workbench import Unrecoverable
from pilot_aggregator.store.records import AttemptRecord, RoundRecord, RunRecord
from pilot_aggregator.store.store import Store
from pilot_aggregator.webhook import Webhook

Board = dict[tuple[str, int, str], tuple[Progress, datetime]]
"""The last progress of each client of each round. In memory only: losing it harms nothing."""

STEPS_PER_TICK = 20
"""A run may take several steps at once before others get their turn."""


@dataclass
class Reconciler:
    """Moves one run at a time a step forward."""

    store: Store
    registry: RegistryClient
    attempts: Attempts
    actor: Actor
    clock: Clock
    board: Board
    up_since: datetime
    webhook: Webhook | None = None
    """Told when a run ends, where the deployment names one."""
    views: dict[tuple[str, int], RoundView] = field(default_factory=dict)
    """What the registry last said of a run's round at work, for those who ask in between."""
    absences: dict[tuple[str, int], str] = field(default_factory=dict)
    """Who is missing from a round that is published, as a sentence."""
    turn_s: float = 1.0
    """No step of a run begins after this, before others get their turn."""

    def tick(self, name: str) -> bool:
        """Take as many steps for a run as can be taken now; whether its turn ended before they did."""
        until = time.monotonic() + self.turn_s
        for _ in range(STEPS_PER_TICK):
            if not self._step(name):
                return False
            if time.monotonic() > until:
                break
        return True

    def _step(self, name: str) -> bool:
        run = self.store.run(name)
        if run is None:
            return False
        try:
            round, decision = self._look(run)
            again = self.actor.carry_out(run, round, decision)
        except Unrecoverable as error:
            decision, again = d.Fail(error.reason, str(error)), False
            self.actor.carry_out(run, None, decision)
        self._write_status(name, decision)
        return again

    def _look(self, run: RunRecord) -> tuple[RoundRecord | None, d.Decision]:
        round = self.store.round(run.uid, run.published + 1) if run.published < run.plan.last_round else None
        clients: list[d.ClientSeen] = []
        if round is not None and _hangs_on_clients(round):
            view, attempts = self._follow(run, round)
            asked = self.store.assignments(run.uid, round.number)
            told = heard(self.board, run.uid, round.number)
            clients = clients_seen(run, round, asked, attempts, view, told)
        return round, d.decide(run_seen(run, round, clients, self.up_since), self.clock.now())

    def _follow(self, run: RunRecord, round: RoundRecord) -> tuple[RoundView, list[AttemptRecord]]:
        """Bring the attempts up to date, then ask the registry: a job that ended well has committed by then."""
        if round.sealed is not None:
            self.views.pop((run.uid, round.number), None)
            return RoundView(), []
        attempts = self.store.attempts(run.uid, round.number)
        self.actor.ensure_grants(run, round)
        if self.attempts.follow(attempts):
            attempts = self.store.attempts(run.uid, round.number)
        view = self.views[run.uid, round.number] = self._ask(run.uid, round.number)
        self._note_rejections(run, round, view)
        self.actor.measuring.fetch_ahead(run, round, view.admitted)
        return view, attempts

    def _ask(self, uid: str, number: int) -> RoundView:
        """What the registry knows of a round now: of its updates it tells only those that are new here."""
        known = self.views.get((uid, number), RoundView()).admitted
        fresh = self.registry.round(uid, number, len(known))
        if fresh.total != len(known) + len(fresh.admitted):
            # It was brought back from a backup. What was fetched from it before is still right.
            known, fresh = (), self.registry.round(uid, number)
        return fresh.model_copy(update={"admitted": (*known, *fresh.admitted)})

    def _note_rejections(self, run: RunRecord, round: RoundRecord, view: RoundView) -> None:
        """The registry's word on why an upload was refused outweighs what the trainer made of it."""
        latest = {rejection.client: rejection for rejection in view.rejections}
        if not latest:
            return
        for record in self.store.assignments(run.uid, round.number):
            rejection = latest.get(record.client)
            failure = f"{rejection.code}: {rejection.message}" if rejection else ""
            if failure and record.failure != failure:
                self.store.change_assignment(run.uid, round.number, record.client, failure=failure)
                self.store.add_event(run.uid, self.clock.now(), "UploadRejected", round.number, record.client, failure)

    def _write_status(self, name: str, decision: d.Decision) -> None:
        run = self.store.run(name)
        if run is None or run.phase in ("Succeeded", "Failed", "Cancelled"):
            return
        round = self.store.round(run.uid, run.published + 1)
        number = round.number if round else max(run.published, 0)
        phase = _phase(run, round, decision)
        assert phase == run.phase or phase in NEXT[run.phase], f"{run.phase} -> {phase} is not in the diagram"
        conditions = self._conditions(run, decision)
        if (phase, conditions, number) == (run.phase, run.conditions, run.round):
            return
        ended = self.clock.now() if phase in ("Succeeded", "Failed", "Cancelled") else None
        told = self.webhook.delivery(run, phase, conditions, ended) if self.webhook and ended else None
        self.store.write_status(run, phase=phase, conditions=conditions, round=number, ended_at=ended, delivery=told)
        if phase != run.phase:
            message = decision.message if isinstance(decision, d.Fail) else ""
            self.store.add_event(run.uid, self.clock.now(), f"Run{phase}", number, "", message)
        if self.webhook and told:
            self.webhook.wake()

    def _conditions(self, run: RunRecord, decision: d.Decision) -> tuple[Condition, ...]:
        found = []
        if isinstance(decision, d.Fail):
            message = f"{decision.message}. {_way_out(run)}"
            found.append(Condition(type="Failed", reason=decision.reason, message=message))
        if isinstance(decision, d.Wait) and decision.condition:
            message = ", ".join(decision.clients)
            found.append(Condition(type=decision.condition, reason=decision.condition, message=message))
        if run.paused and not any(c.type == "Paused" for c in found):
            found.append(Condition(type="Paused", reason="Pausing", message="after the round at work is published"))
        if lost := self._lost(run):
            found.append(Condition(type="Partial", reason="ClientLost", message=lost))
        return tuple(found)

    def _lost(self, run: RunRecord) -> str:
        """Who is missing from which round, as a sentence."""
        return "; ".join(filter(None, (self._absence(run, number) for number in range(run.published + 2))))

    def _absence(self, run: RunRecord, number: int) -> str:
        known = self.absences.get((run.uid, number))
        if known is not None:
            return known
        ledger = self.store.ledger(run.uid, number)
        absent = [entry for entry in ledger.entries if not entry.counted] if ledger else []
        who = ", ".join(f"{entry.client} ({entry.reason})" for entry in absent)
        told = f"round {number}: {who}" if absent else ""
        if number <= run.published:
            self.absences[run.uid, number] = told
        return told


def _hangs_on_clients(round: RoundRecord) -> bool:
    """Between the seal and the measurement, and from the plan on, what clients do changes nothing; looking at a
    thousand of them would keep the next step waiting."""
    return round.sealed is None or (round.measured is not None and round.plan is None)


def heard(
    board: Mapping[tuple[str, int, str], tuple[Progress, datetime]], uid: str, number: int
) -> dict[str, tuple[Progress, datetime]]:
    """The progress of one round's clients."""
    return {client: told for (run, n, client), told in list(board.items()) if (run, n) == (uid, number)}


def _phase(run: RunRecord, round: RoundRecord | None, decision: d.Decision) -> Phase:
    match decision:
        case d.Finish():
            return "Succeeded"
        case d.Fail():
            return "Failed"
        case d.Cancel():
            return "Cancelled"
    if round is None:
        return run.phase
    return working_phase(round.program, sealed=round.sealed is not None)


def _way_out(run: RunRecord) -> str:
    if run.published < 1:
        return "No round was published; correct the cause and start again."
    return (
        f"Rounds up to {run.published} stay usable: put 'start_from: {{run: {run.name}, round: {run.published}}}' "
        "into the spec of a new run and start it with 'pilot run -f FILE'."
    )
