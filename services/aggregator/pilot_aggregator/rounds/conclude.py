"""From the measured updates of a round to its publication. Every step may be cut off anywhere and done again."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pilot_client.errors import ApiError
from pilot_disk.files import write_atomically
from pilot_proto.assignment import FileRef, ModelRef, PrivateStateRef
from pilot_proto.boundaries import Boundary, reached
from pilot_proto.canonical import canonical_bytes, digest_of
from pilot_proto.names import Kind
from pilot_proto.plan import Ledger, MergePlan
from pilot_proto.update import UPDATE_FILE

from pilot_aggregator.rounds import decide as d
from pilot_aggregator.rounds.observe import round_flags
from pilot_aggregator.rounds.outputs import Published, publication
from pilot_aggregator.rounds.planning import Answer, answers, ledger, merge_plan
from pilot_aggregator.rounds.spool import TRANSFERS
from pilot_aggregator.rounds.workbench import Unrecoverable, Workbench, there
from pilot_aggregator.store.records import AssignmentRecord, RoundRecord, RunRecord


@dataclass
class Conclusion:
    """Plan, merge, publish. Each answers whether it did something, so that looking again is worth it."""

    bench: Workbench

    def plan(self, run: RunRecord, round: RoundRecord) -> bool:
        """Store who counts, and what is merged of whom."""
        measured: Any = round.measured or {}

        def work() -> tuple[MergePlan, Ledger]:
            answered = self._answers(run, round)
            plan = merge_plan(run.plan, round.number, answered, measured, run.slots)
            return plan, ledger(run.plan, round.number, answered, plan, measured, round.updates or {})

        try:
            done = self.bench.long(run, round, "plan", work)
        except ValueError as error:
            raise Unrecoverable("MergeRefused", f"round {round.number}: {error}") from error
        if done is None:
            return False
        plan, made = done
        told = f"{sum(entry.counted for entry in made.entries)} of {len(made.entries)} clients count"
        self.bench.step(round, "RoundPlanned", told, plan=plan, ledger=made)
        reached(Boundary.PLAN_STORED)
        return True

    def merge(self, run: RunRecord, round: RoundRecord) -> bool:
        """Carry out the stored plan."""
        plan, sealed = there(round.plan), there(round.sealed)
        spool = self.bench.spool(run, round)

        def work() -> dict[str, FileRef]:
            return spool.merge(sealed, plan.kinds)

        merged = self.bench.long(run, round, "merge", work)
        if merged is None:
            return False
        reached(Boundary.MERGED)
        return self.bench.step(round, "RoundMerged", f"{len(merged)} outputs", merged=merged)

    def publish(self, run: RunRecord, round: RoundRecord) -> bool:
        """Commit the round in the registry, and write down where everybody stands."""
        model = self._model(run, round)

        def work() -> Published:
            plan, made, sealed = there(round.plan), there(round.ledger), there(round.sealed)
            published = publication(plan, made, there(round.merged), model, sealed, run.slots)
            self._upload(run, round, plan, made)
            self.bench.registry.publish(run.uid, round.number, published.request)
            return published

        try:
            published = self.bench.long(run, round, "publish", work)
        except ApiError as error:
            if error.code == "already_published":
                raise Unrecoverable("PublishedDiffers", f"round {round.number}: {error}") from error
            raise
        if published is None:
            return False
        reached(Boundary.PUBLISHED)
        accepted, now = self._accepted(run, round), self.bench.clock.now()
        self.bench.store.adopt_publication(
            run.uid, round.number, published.request.publication, published.slots, accepted, model, now
        )
        if run.spec.retention.raw_updates == "after-publish":
            self.bench.registry.retire(run.uid, round.number)
        self.bench.spool(run, round).remove()
        return True

    def _upload(self, run: RunRecord, round: RoundRecord, plan: MergePlan, account: Ledger) -> None:
        spool = self.bench.spool(run, round)
        merged = there(round.merged)
        made = [(each.kind, output.repo) for each in plan.kinds for output in each.outputs if not output.carried]
        if not all(spool.merged_file(kind, repo).exists() for kind, repo in made):
            # The spool was lost since; merging again gives the same bytes.
            spool.merge(there(round.sealed), plan.kinds)

        def put(output: tuple[Kind, str]) -> None:
            kind, repo = output
            file = spool.merged_file(kind, repo)
            self.bench.registry.put_file(file, merged[repo].digest, uid=run.uid, round=round.number, kind=kind)

        with ThreadPoolExecutor(TRANSFERS, "upload") as pool:
            list(pool.map(put, made))
        for name, document in (("plan", plan), ("ledger", account)):
            raw = canonical_bytes(document)
            file = spool.folder / f"{name}.json"
            write_atomically(file, raw)
            self.bench.registry.put_file(file, digest_of(raw), uid=run.uid, round=round.number, kind="update")

    def _answers(self, run: RunRecord, round: RoundRecord) -> list[Answer]:
        records = self.bench.store.assignments(run.uid, round.number)
        tasks = {record.client: record.task for record in records}
        flagged = round_flags(run, round)
        refused = _refused(run, records, flagged)
        last = {attempt.client: attempt.state for attempt in self.bench.store.attempts(run.uid, round.number)}
        reasons = {record.client: reason for record in records if (reason := _reason(record, last))}
        return answers(tasks, there(round.sealed), reasons, flagged, refused)

    def _accepted(self, run: RunRecord, round: RoundRecord) -> dict[str, tuple[PrivateStateRef, ...]]:
        """Every client's accepted updates, this round's included; evaluation changes nobody's state."""
        accepted = dict(run.accepted)
        if round.program in ("prepare", "evaluate"):
            return accepted
        programs = {record.client: record.program for record in self.bench.store.assignments(run.uid, round.number)}
        for update in there(round.sealed).updates:
            state = PrivateStateRef(
                update=update.files[UPDATE_FILE].digest, round=round.number, program=programs[update.client]
            )
            accepted[update.client] = (*accepted.get(update.client, ()), state)
        return accepted

    def _model(self, run: RunRecord, round: RoundRecord) -> ModelRef:
        """The base model with its digest, which round 0 found out."""
        if run.model.digest:
            return run.model
        (prepared,) = there(round.updates).values()
        return run.model.model_copy(update={"digest": prepared.model.digest})


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
