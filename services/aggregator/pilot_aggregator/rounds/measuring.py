"""Bringing a round's updates here, and measuring them. May be cut off anywhere and done again."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from pilot_proto.assignment import AdapterRef
from pilot_proto.grant import AdmittedUpdate
from pilot_proto.names import ADAPTER_FILE, Kind, update_path
from pilot_proto.update import UPDATE_FILE, Update

from pilot_aggregator.rounds import slots
from pilot_aggregator.rounds.assign import KINDS
from pilot_aggregator.rounds.gate import Measurement
from pilot_aggregator.rounds.planning import rule_of
from pilot_aggregator.rounds.spool import Wanted
from pilot_aggregator.rounds.workbench import Workbench, there
from pilot_aggregator.store.records import RoundRecord, RunRecord

FETCH = "fetch"
"""The step in which a round's inputs are brought here; it begins before the seal."""
ADAPTERS = frozenset(update_path(kind, ADAPTER_FILE[kind]) for kind in KINDS)


@dataclass
class Measuring:
    """From the registry's updates to distances and changes."""

    bench: Workbench
    fetched: dict[tuple[str, int], int] = field(default_factory=dict)
    """Of how many updates of a round's the files were asked for ahead of the seal."""

    def fetch_ahead(self, run: RunRecord, round: RoundRecord, admitted: Sequence[AdmittedUpdate]) -> None:
        """Bring here what was admitted, while others are still at work: the seal finds it then. Only ever in the order
        of `admitted`, which grows at its end."""
        key = (run.uid, round.number)
        begun = self.fetched.get(key, 0)
        if begun >= len(admitted) or self.bench.background.busy((*key, FETCH)):
            return
        self.fetched[key] = len(admitted)
        fresh = admitted[begun:]

        def work() -> None:
            wanted = self._wanted(run, round, {update.client for update in fresh})
            self.bench.spool(run, round).inputs.fetch_all(self._inputs(round, fresh, wanted))

        self.bench.background.start((*key, FETCH), work)

    def measure(self, run: RunRecord, round: RoundRecord) -> bool:
        """Distances, changes, and what each client said of its update; whether that was done just now."""
        if self.bench.background.busy((run.uid, round.number, FETCH)):
            # It writes the same files; its end wakes the loop.
            return False
        sealed = there(round.sealed)
        spool = self.bench.spool(run, round)

        def work() -> tuple[dict[str, Measurement], dict[str, Update]]:
            wanted = self._wanted(run, round, {update.client for update in sealed.updates})
            spool.inputs.fetch_all(self._inputs(round, sealed.updates, wanted))
            return spool.measure(sealed, wanted), spool.inputs.said(sealed)

        done = self.bench.long(run, round, "measure", work)
        if done is None:
            return False
        self.fetched.pop((run.uid, round.number), None)
        measured, updates = done
        return self.bench.step(round, "RoundMeasured", "", measured=measured, updates=updates)

    def _wanted(self, run: RunRecord, round: RoundRecord, clients: Set[str]) -> list[Wanted]:
        """What to measure of these clients' updates; nothing in a round that mixes nothing."""
        if round.program in ("prepare", "evaluate"):
            return []
        lora = run.spec.training.lora
        given = self._given(run, round, clients)
        return [
            Wanted(
                kind, rule_of(run.plan, kind), given[kind], run.slots[slots.base_slot(kind)], lora.lora_alpha / lora.r
            )
            for kind in KINDS
        ]

    def _inputs(
        self, round: RoundRecord, updates: Sequence[AdmittedUpdate], measured: Sequence[Wanted]
    ) -> list[tuple[AdapterRef, str]]:
        """The files that the round's merge reads of these updates, and of what their clients started from."""
        read = {UPDATE_FILE} if round.program == "evaluate" else {UPDATE_FILE, *ADAPTERS}
        wanted = []
        for update in updates:
            version = AdapterRef(repo=update.repo, commit=update.commit, files=update.files)
            wanted += [(version, path) for path in update.files if path in read]
        for each in measured:
            given = [each.given[update.client] for update in updates]
            wanted += [(adapter, ADAPTER_FILE[each.kind]) for adapter in (each.base, *given)]
        return wanted

    def _given(self, run: RunRecord, round: RoundRecord, clients: Set[str]) -> dict[Kind, dict[str, AdapterRef]]:
        """What each of these clients started the round from."""
        given: dict[Kind, dict[str, AdapterRef]] = {kind: {} for kind in KINDS}
        for record in self.bench.store.assignments(run.uid, round.number):
            if record.client not in clients:
                continue
            inputs = record.inputs
            if inputs.connector and inputs.text:
                given["connector"][record.client] = inputs.connector
                given["text"][record.client] = inputs.text
        return given
