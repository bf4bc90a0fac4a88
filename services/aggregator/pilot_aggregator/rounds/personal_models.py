"""A client's personal model as a Job: whether there is one to make, what the Job is told, and how it is shown. Pure."""

import json
from collections.abc import Mapping
from datetime import datetime

from pilot_proto.assignment import AdapterRef
from pilot_proto.canonical import document_digest
from pilot_proto.personal_model import ExportOrder, ExportView, Point

from pilot_aggregator.jobs.backend import JobRequest, Rendered, StatePlace
from pilot_aggregator.rounds.assign import History, assignment_of, handed
from pilot_aggregator.store.records import ExportRecord, RoundRecord, RunRecord

COMMAND = ("python", "-m", "pilot_trainer.export")

DEADLINE_S = 6 * 3600
"""Folding a LoRA into a large base on a slow volume takes minutes."""


def gap(run: RunRecord, round: RoundRecord, client: str, point: Point) -> str | None:
    """Why a client has no model at a point of a published round, or None if it has."""
    place = f"round {round.number} of run {run.name!r}"
    if round.program in ("prepare", "evaluate"):
        return f"{place} trains nothing (program {round.program!r}); name one that does"
    accepted = (round.accepted or {}).get(client, ())
    if not accepted:
        return (
            f"no update of {client!r} was accepted up to round {round.number}, so there is nothing personal to export"
        )
    if point == "local" and accepted[-1].round != round.number:
        return (
            f"{client!r} has no accepted update of round {round.number}; its last is of round {accepted[-1].round}: "
            "export that one, or the merged point"
        )
    return None


def handed_out(run: RunRecord, round: RoundRecord, client: str) -> list[AdapterRef]:
    """What a published round made for a client: as the next round hands it out, whether there is one or not."""
    history = History(run.model, round.slots or {}, round.accepted or {})
    (member,) = (each for each in run.clients if each.name == client)
    return handed(assignment_of(run.plan, history, round.number + 1, member).inputs)


def folder_of(run: str, number: int, order: ExportOrder) -> str:
    """Where the model stands, below the client's private state."""
    return f"exports/{run}-round-{number}-{order.point}{'-folded' if order.merge_lora else ''}"


def request_of(
    run: RunRecord, round: RoundRecord, client: str, order: ExportOrder, sequence: int, told: Mapping[str, str]
) -> JobRequest:
    """The Job of an export. `told` is what every job of the client is told."""
    marks = {"round": str(round.number), "export": order.point}
    environment = {
        "PILOT_OUT": folder_of(run.name, round.number, order),
        "PILOT_POINT": order.point,
        "PILOT_MERGE_LORA": str(int(order.merge_lora)),
        "PILOT_PUBLISHED": json.dumps({ref.repo: ref.commit for ref in handed_out(run, round, client)}, sort_keys=True),
    }
    return JobRequest(
        job_name(run.uid, round.number, client, order, sequence),
        client,
        {**told, **environment},
        {"run": run.name, "run-uid": run.uid, "client": client, **marks},
        DEADLINE_S,
        COMMAND,
    )


def intended(
    run: RunRecord,
    round: RoundRecord,
    order: ExportOrder,
    sequence: int,
    request: JobRequest,
    rendered: Rendered,
    now: datetime,
) -> ExportRecord:
    """An export before anything of it exists."""
    return ExportRecord(
        uid=run.uid,
        number=round.number,
        client=request.client,
        point=order.point,
        merge_lora=order.merge_lora,
        sequence=sequence,
        job=request.name,
        folder=folder_of(run.name, round.number, order),
        rendered=rendered,
        state="Intended",
        created=False,
        exit_code=None,
        message="",
        requested_at=now,
        started_at=None,
        ended_at=None,
    )


def job_name(uid: str, number: int, client: str, order: ExportOrder, sequence: int) -> str:
    """A DNS label of at most 52 characters, the same for the same export for ever."""
    what = {"point": order.point, "merge_lora": order.merge_lora, "sequence": sequence}
    digest = document_digest({"uid": uid, "round": number, "client": client, **what})
    return f"pilot-{uid[:8]}-r{number}-{client[:20].rstrip('-')}-{digest[7:13]}-x{sequence}"


def export_view(run: RunRecord, record: ExportRecord, place: StatePlace) -> ExportView:
    """An export for people."""
    return ExportView(
        run=run.name,
        round=record.number,
        client=record.client,
        point=record.point,
        merge_lora=record.merge_lora,
        job=record.job,
        state=record.state,
        reason=record.message.partition(":")[0],
        message=record.message,
        folder=record.folder,
        namespace=place.namespace,
        claim=place.claim,
        pod=place.pod,
        path=f"{place.path}/{record.folder}" if place.path else "",
        requested_at=record.requested_at,
        started_at=record.started_at,
        ended_at=record.ended_at,
    )
