"""A run and its rounds as the API shows them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pilot_proto.grant import RoundView
from pilot_proto.names import ADAPTER_FILE
from pilot_proto.plan import GivenVerdict, RoundDocument, RoundOutline
from pilot_proto.run import RunStatus, RunView

from pilot_aggregator.rounds.observe import client_status, clients_seen, gate_checks
from pilot_aggregator.rounds.reconcile import Board, heard
from pilot_aggregator.store.records import AssignmentRecord, RoundRecord, RoundSummary, RunRecord
from pilot_aggregator.store.store import Store


def run_view(run: RunRecord, store: Store, view: RoundView | None, board: Board) -> RunView:
    """The run with its clients in the round at work. `view` is what the registry last said of that round."""
    round = store.round(run.uid, run.round, {"sealed", "measured"})
    clients = []
    if round is not None:
        told = heard(board, run.uid, round.number)
        assignments, attempts = store.assignments(run.uid, round.number), store.attempts(run.uid, round.number)
        seen = clients_seen(run, round, assignments, attempts, view or RoundView(), told)
        clients = [client_status(run, client, round.sealed is not None, told) for client in seen]
    outline = run_outline(run)
    more = {"clients": tuple(clients), "started": _started(run, store)}
    return outline.model_copy(update={"status": outline.status.model_copy(update=more)})


def run_outline(run: RunRecord) -> RunView:
    """The run without its clients: what its own row says."""
    status = RunStatus(
        uid=run.uid,
        phase=run.phase,
        conditions=run.conditions,
        round=run.round,
        program=run.plan.program(min(run.round, run.plan.last_round)),
        published=run.published,
        through=run.through,
        total_rounds=run.plan.last_training_round,
        created_at=run.created_at,
        ended_at=run.ended_at,
        tasks=dict(sorted(Counter(client.task for client in run.clients).items())),
    )
    return RunView(metadata={"name": run.name}, spec=run.spec, status=status)


def _started(run: RunRecord, store: Store) -> dict[str, tuple[str, ...]]:
    """Client to what it began anew. Without a source everything is new, and nobody needs to be told."""
    if run.spec.start_from is None:
        return {}
    found: dict[str, list[str]] = {}
    for round in store.round_summaries(run.uid):
        for entry in round.ledger.entries if round.ledger else ():
            parts = found.setdefault(entry.client, [])
            parts += [part for part in entry.started if part not in parts]
    return {client: tuple(parts) for client, parts in sorted(found.items()) if parts}


def round_outline(run: RunRecord, round: RoundSummary) -> RoundOutline:
    """A round in a few words."""
    entries = round.ledger.entries if round.ledger else ()
    return RoundOutline(
        round=round.number,
        program=round.program,
        state=_shown_state(run, round.state),
        started_at=round.started_at,
        ended_at=round.ended_at,
        asked=round.asked or len(entries),
        answered=sum(entry.answered for entry in entries),
        counted=sum(entry.counted for entry in entries),
        left_out={entry.client: entry.reason for entry in entries if not entry.counted},
    )


def single_round(
    run: RunRecord, round: RoundRecord, state: str, assignments: Sequence[AssignmentRecord], *, gate: bool
) -> RoundDocument:
    """A round with what lists of rounds leave out: the verdicts, and for who may see it what the gate looked at.
    `state` is the last step that is done, whichever documents are here."""
    more: dict[str, Any] = {
        "state": _shown_state(run, state),
        "gate": gate_checks(run, round) if gate else (),
        "verdicts": tuple(_given(record) for record in assignments if record.verdict),
    }
    return round_document(run, round).model_copy(update=more)


def round_document(run: RunRecord, round: RoundRecord) -> RoundDocument:
    """A round with its ledger, plan and outputs."""
    slots = round.slots or {}
    made = round.publication.outputs if round.publication else {}
    standing = {adapter.repo: (slot, adapter) for slot, adapter in slots.items()}
    digests = {}
    for repo in made:
        slot, adapter = standing[repo]
        digests[repo] = adapter.files[ADAPTER_FILE[_kind(slot)]].digest
    evaluations: dict[str, Any] = {
        client: tuple(result.model_dump(exclude={"scores"}) for result in update.evaluations)
        for client, update in (round.updates or {}).items()
    }
    return RoundDocument(
        run=run.name,
        round=round.number,
        program=round.program,
        state=_state(run, round),
        ledger=round.ledger,
        plan=round.plan,
        outputs=made,
        digests=digests,
        evaluations=evaluations,
    )


def _given(record: AssignmentRecord) -> GivenVerdict:
    return GivenVerdict(
        client=record.client,
        verdict=record.verdict,
        reason=record.verdict_reason or "",
        by=record.verdict_by or "",
        at=record.verdict_at,
    )


def _kind(slot: str) -> Any:
    return slot.partition("/")[0]


def _shown_state(run: RunRecord, state: str) -> str:
    return "Failed" if state == "Assigned" and run.phase == "Failed" else state


def _state(run: RunRecord, round: RoundRecord) -> str:
    steps = {
        "Published": round.publication,
        "Merged": round.merged,
        "Planned": round.plan,
        "Sealed": round.sealed,
    }
    done = next((state for state, document in steps.items() if document is not None), "Assigned")
    return _shown_state(run, done)
