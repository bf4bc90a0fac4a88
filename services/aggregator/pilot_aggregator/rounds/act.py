"""Carrying out a decision. Every action may be cut off anywhere and done again."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pilot_client.errors import ApiError
from pilot_client.registry import RegistryClient
from pilot_disk.files import write_atomically
from pilot_proto.assignment import AdapterRef, Assignment, FileRef, ModelRef, PrivateStateRef
from pilot_proto.boundaries import Boundary, reached
from pilot_proto.canonical import canonical_bytes, digest_of
from pilot_proto.grant import AdmittedUpdate
from pilot_proto.names import ADAPTER_FILE, Kind, update_path
from pilot_proto.plan import KindPlan, Ledger, MergePlan
from pilot_proto.update import UPDATE_FILE, Update

from pilot_aggregator.clock import Clock
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.process import MergeProcess
from pilot_aggregator.rounds import decide as d
from pilot_aggregator.rounds import slots
from pilot_aggregator.rounds.assign import KINDS, grant_for, plan_round
from pilot_aggregator.rounds.attempts import Attempts
from pilot_aggregator.rounds.background import Background
from pilot_aggregator.rounds.gate import Measurement
from pilot_aggregator.rounds.local_updates import inputs_of
from pilot_aggregator.rounds.observe import round_flags
from pilot_aggregator.rounds.outputs import Published, publication
from pilot_aggregator.rounds.planning import Answer, answers, ledger, merge_plan, rule_of
from pilot_aggregator.rounds.spool import TRANSFERS, Spool, Wanted
from pilot_aggregator.store.records import AssignmentRecord, RoundRecord, RunRecord
from pilot_aggregator.store.store import Store

log = logging.getLogger(__name__)

T = TypeVar("T")

FETCH = "fetch"
"""The step in which a round's inputs are brought here; it begins before the seal."""
ADAPTERS = frozenset(update_path(kind, ADAPTER_FILE[kind]) for kind in KINDS)

LAUNCHES = 100
"""Attempts that are begun in one step, so that other runs get their turn between the steps of a large one."""


class Unrecoverable(Exception):
    """The run cannot go on; `reason` is a word for programs."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass
class Actor:
    """The hands of the reconciler. Each method answers whether it did something, so that looking again is worth it."""

    store: Store
    registry: RegistryClient
    attempts: Attempts
    background: Background
    merges: MergeProcess
    clock: Clock
    folder: Path
    granted: set[tuple[str, int]] = field(default_factory=set)
    """Rounds whose grants this process knows to be in the registry; after a restart they are PUT again."""
    fetched: dict[tuple[str, int], int] = field(default_factory=dict)
    """Of how many updates of a round's the files were asked for ahead of the seal."""

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
                return self._step(round, "QuorumReached", "", quorum_at=self.clock.now())
            case d.Seal():
                return self._seal(run, round)
            case d.Measure():
                return self._measure(run, round)
            case d.Plan():
                return self._plan(run, round)
            case d.Merge():
                return self._merge(run, round)
            case d.Publish():
                return self._publish(run, round)

    def ensure_grants(self, run: RunRecord, round: RoundRecord) -> None:
        """Every client of an open round has its grant. The same again does nothing in the registry."""
        key = (run.uid, round.number)
        if key in self.granted:
            return
        plan, history = run.plan, run.history
        asked = [Assignment.read(record.body) for record in self.store.assignments(run.uid, round.number)]
        grants = [grant_for(plan, history, assignment) for assignment in asked]
        self.registry.put_grants(run.uid, round.number, grants)
        self.granted.add(key)

    def fetch_ahead(self, run: RunRecord, round: RoundRecord, admitted: Sequence[AdmittedUpdate]) -> None:
        """Bring here what was admitted, while others are still at work: the seal finds it then. Only ever in the order
        of `admitted`, which grows at its end."""
        key = (run.uid, round.number)
        begun = self.fetched.get(key, 0)
        if begun >= len(admitted) or self.background.busy((*key, FETCH)):
            return
        self.fetched[key] = len(admitted)
        fresh = admitted[begun:]

        def work() -> None:
            wanted = self._wanted(run, round, {update.client for update in fresh})
            self.spool(run, round).inputs.fetch_all(self._inputs(round, fresh, wanted))

        self.background.start((*key, FETCH), work)

    def _open(self, run: RunRecord, number: int) -> bool:
        assignments = plan_round(run.plan, run.history, number)
        self.store.open_round(run.uid, number, run.plan.program(number), assignments, self.clock.now())
        return True

    def _launch(self, run: RunRecord, round: RoundRecord, clients: tuple[str, ...]) -> bool:
        tried = Counter(attempt.client for attempt in self.store.attempts(run.uid, round.number))
        self.attempts.launch(run, round.number, {client: tried[client] + 1 for client in clients[:LAUNCHES]})
        return True

    def _stop(self, run: RunRecord, round: RoundRecord, clients: tuple[str, ...], reason: str) -> bool:
        known = self.store.attempts(run.uid, round.number)
        stopped = set(clients)
        self.attempts.stop([a for a in known if a.client in stopped], "Lost", reason)
        return True

    def _seal(self, run: RunRecord, round: RoundRecord) -> bool:
        sealed = self.registry.seal(run.uid, round.number)
        reached(Boundary.SEALED)
        self._step(round, "RoundSealed", f"{len(sealed.updates)} updates", sealed=sealed)
        answered, known = {update.client for update in sealed.updates}, self.store.attempts(run.uid, round.number)
        self.attempts.conclude([attempt for attempt in known if attempt.client in answered])
        late = [attempt for attempt in known if attempt.client not in answered]
        self.attempts.stop(late, "Stopped", "the round was sealed")
        return True

    def _measure(self, run: RunRecord, round: RoundRecord) -> bool:
        if self.background.busy((run.uid, round.number, FETCH)):
            # It writes the same files; its end wakes the loop.
            return False
        sealed = _there(round.sealed)
        spool = self.spool(run, round)

        def work() -> tuple[dict[str, Measurement], dict[str, Update]]:
            wanted = self._wanted(run, round, {update.client for update in sealed.updates})
            spool.inputs.fetch_all(self._inputs(round, sealed.updates, wanted))
            return spool.measure(sealed, wanted), spool.inputs.said(sealed)

        done = self._long(run, round, "measure", work)
        if done is None:
            return False
        measured, updates = done
        return self._step(round, "RoundMeasured", "", measured=measured, updates=updates)

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
        for record in self.store.assignments(run.uid, round.number):
            if record.client not in clients:
                continue
            inputs = inputs_of(record.body)
            if inputs.connector and inputs.text:
                given["connector"][record.client] = inputs.connector
                given["text"][record.client] = inputs.text
        return given

    def _plan(self, run: RunRecord, round: RoundRecord) -> bool:
        measured: Any = round.measured or {}

        def work() -> tuple[MergePlan, Ledger]:
            answered = self._answers(run, round)
            plan = merge_plan(run.plan, round.number, answered, measured, run.slots)
            return plan, ledger(run.plan, round.number, answered, plan, measured, round.updates or {})

        try:
            done = self._long(run, round, "plan", work)
        except ValueError as error:
            raise Unrecoverable("MergeRefused", f"round {round.number}: {error}") from error
        if done is None:
            return False
        plan, made = done
        counted = sum(entry.counted for entry in made.entries)
        self._step(round, "RoundPlanned", f"{counted} of {len(made.entries)} clients count", plan=plan, ledger=made)
        reached(Boundary.PLAN_STORED)
        return True

    def _merge(self, run: RunRecord, round: RoundRecord) -> bool:
        plan, sealed = _there(round.plan), _there(round.sealed)
        spool = self.spool(run, round)

        def work() -> dict[str, FileRef]:
            return spool.merge(sealed, plan.kinds)

        merged = self._long(run, round, "merge", work)
        if merged is None:
            return False
        reached(Boundary.MERGED)
        return self._step(round, "RoundMerged", f"{len(merged)} outputs", merged=merged)

    def _publish(self, run: RunRecord, round: RoundRecord) -> bool:
        model = self._model(run, round)

        def work() -> Published:
            plan, made, sealed = _there(round.plan), _there(round.ledger), _there(round.sealed)
            published = publication(plan, made, _there(round.merged), model, sealed, run.slots)
            self._upload(run, round, plan, made)
            self.registry.publish(run.uid, round.number, published.request)
            return published

        try:
            published = self._long(run, round, "publish", work)
        except ApiError as error:
            if error.code == "already_published":
                raise Unrecoverable("PublishedDiffers", f"round {round.number}: {error}") from error
            raise
        if published is None:
            return False
        reached(Boundary.PUBLISHED)
        accepted = self._accepted(run, round)
        self.store.adopt_publication(
            run.uid, round.number, published.request.publication, published.slots, accepted, model, self.clock.now()
        )
        if run.spec.retention.raw_updates == "after-publish":
            self.registry.retire(run.uid, round.number)
        self.spool(run, round).remove()
        self.fetched.pop((run.uid, round.number), None)
        return True

    def _end(self, run: RunRecord, decision: d.Finish | d.Fail | d.Cancel) -> bool:
        with _perhaps_unknown():
            self.registry.revoke_grants(run.uid)
        if run.round >= 0:
            self.attempts.stop(self.store.attempts(run.uid, run.round), "Stopped", "the run has ended")
        self.attempts.end_run(run, cancelled=isinstance(decision, d.Cancel))
        if run.spec.retention.raw_updates != "forever":
            # The round at work too: what was admitted in it is as private as what was merged.
            for number in range(run.published + 2):
                with _perhaps_unknown():
                    self.registry.retire(run.uid, number)
            shutil.rmtree(self.folder / run.uid, ignore_errors=True)
        return False

    def _upload(self, run: RunRecord, round: RoundRecord, plan: MergePlan, account: Ledger) -> None:
        spool = self.spool(run, round)
        merged = _there(round.merged)
        made = [
            (kind_plan, output.repo) for kind_plan in plan.kinds for output in kind_plan.outputs if not output.carried
        ]
        if not all(spool.merged_file(kind_plan.kind, repo).exists() for kind_plan, repo in made):
            # The spool was lost since; merging again gives the same bytes.
            spool.merge(_there(round.sealed), plan.kinds)

        def put(output: tuple[KindPlan, str]) -> None:
            kind_plan, repo = output
            file = spool.merged_file(kind_plan.kind, repo)
            self.registry.put_file(file, merged[repo].digest, uid=run.uid, round=round.number, kind=kind_plan.kind)

        with ThreadPoolExecutor(TRANSFERS, "upload") as pool:
            list(pool.map(put, made))
        for name, document in (("plan", plan), ("ledger", account)):
            raw = canonical_bytes(document)
            file = spool.folder / f"{name}.json"
            write_atomically(file, raw)
            self.registry.put_file(file, digest_of(raw), uid=run.uid, round=round.number, kind="update")

    def _answers(self, run: RunRecord, round: RoundRecord) -> list[Answer]:
        records = self.store.assignments(run.uid, round.number)
        tasks = {record.client: record.task for record in records}
        flagged = round_flags(run, round)
        refused = _refused(run, records, flagged)
        last = {attempt.client: attempt.state for attempt in self.store.attempts(run.uid, round.number)}
        reasons = {record.client: reason for record in records if (reason := _reason(record, last))}
        return answers(tasks, _there(round.sealed), reasons, flagged, refused)

    def _accepted(self, run: RunRecord, round: RoundRecord) -> dict[str, tuple[PrivateStateRef, ...]]:
        """Every client's accepted updates, this round's included; evaluation changes nobody's state."""
        accepted = dict(run.accepted)
        if round.program in ("prepare", "evaluate"):
            return accepted
        programs = {
            record.client: Assignment.read(record.body).program
            for record in self.store.assignments(run.uid, round.number)
        }
        for update in _there(round.sealed).updates:
            state = PrivateStateRef(
                update=update.files[UPDATE_FILE].digest, round=round.number, program=programs[update.client]
            )
            accepted[update.client] = (*accepted.get(update.client, ()), state)
        return accepted

    def _model(self, run: RunRecord, round: RoundRecord) -> ModelRef:
        """The base model with its digest, which round 0 found out."""
        if run.model.digest:
            return run.model
        (prepared,) = _there(round.updates).values()
        return run.model.model_copy(update={"digest": prepared.model.digest})

    def spool(self, run: RunRecord, round: RoundRecord) -> Spool:
        """The round's files on this machine."""
        return Spool(self.folder / run.uid / str(round.number), self.registry, self.merges)

    def _step(self, round: RoundRecord, event: str, message: str, **documents: Any) -> bool:
        self.store.store_step(round.uid, round.number, self.clock.now(), event, message, **documents)
        return True

    def _long(self, run: RunRecord, round: RoundRecord, step: str, work: Callable[[], Any]) -> Any:
        try:
            return self.background.ensure((run.uid, round.number, step), work)
        except MergeRefused as error:
            raise Unrecoverable("MergeRefused", f"round {round.number}: {error}") from error


@contextmanager
def _perhaps_unknown() -> Iterator[None]:
    """The registry hears of a run and its rounds by their first grants; round 0 of a run with start_from has none."""
    try:
        yield
    except ApiError as error:
        if error.status != 404:
            raise


def _there(document: T | None) -> T:
    assert document is not None, "decide asks for a step only after the steps before it"
    return document


def _reason(record: AssignmentRecord, last: Mapping[str, d.AttemptState]) -> str:
    """Why a client did not answer: its own word or the registry's, or how its last attempt ended."""
    if record.failure:
        return record.failure.partition(":")[0]
    return {"Lost": "Lost", "Disrupted": "Lost", "Failed": "Failed"}.get(last.get(record.client, ""), "")


def _refused(run: RunRecord, records: list[AssignmentRecord], flagged: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Why an answer does not count."""
    policy = run.spec.admission.on_flag
    if policy == "drop":
        return dict.fromkeys(flagged, "Flagged")
    refused = {record.client for record in records if record.verdict == "drop"}
    return {client: "Refused" for client in flagged if policy == "hold" and client in refused}
