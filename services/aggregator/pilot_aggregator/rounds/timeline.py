"""A round's steps and its clients' attempts in time, from stored records. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pilot_proto.timeline import AttemptTimes, ClientTimes, RoundTimeline

from pilot_aggregator.store.records import AssignmentRecord, AttemptRecord, RoundRecord, RunRecord, Timings

Told = Mapping[tuple[str, int], Timings]
"""Client and attempt to what its trainer told."""


def round_timeline(
    run: RunRecord,
    round: RoundRecord,
    steps: Mapping[str, datetime],
    assignments: Sequence[AssignmentRecord],
    attempts: Sequence[AttemptRecord],
    told: Told,
) -> RoundTimeline:
    """`steps` maps the events of the round to when they happened. A round that came from another run has none."""
    made: dict[str, list[AttemptTimes]] = {}
    for attempt in attempts:
        made.setdefault(attempt.client, []).append(_attempt(attempt, told.get((attempt.client, attempt.attempt))))
    return RoundTimeline(
        run=run.name,
        round=round.number,
        program=round.program,
        opened_at=steps.get("RoundOpened", round.started_at),
        quorum_at=round.quorum_at,
        sealed_at=steps.get("RoundSealed"),
        measured_at=steps.get("RoundMeasured"),
        planned_at=steps.get("RoundPlanned"),
        merged_at=steps.get("RoundMerged"),
        published_at=round.ended_at,
        clients=tuple(ClientTimes(client=a.client, task=a.task, attempts=made.get(a.client, ())) for a in assignments),
    )


def _attempt(record: AttemptRecord, told: Timings | None) -> AttemptTimes:
    return AttemptTimes(
        attempt=record.attempt,
        state=record.state,
        message=record.message,
        exit_code=record.exit_code,
        intended_at=record.intended_at,
        started_at=record.started_at,
        ended_at=record.ended_at,
        reported_at=told.reported_at if told else None,
        stages=told.stages if told else (),
    )
