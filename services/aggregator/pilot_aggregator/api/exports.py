"""Personal models, made by Jobs of the clients whose they are."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pilot_http.app import PREFIX
from pilot_http.problems import Conflict, NotFound, coded
from pilot_proto.personal_model import ExportOrder, ExportView, Point

from pilot_aggregator.jobs.backend import JobRejected
from pilot_aggregator.rounds.personal_models import gap
from pilot_aggregator.service import Aggregator

router = APIRouter(prefix=f"{PREFIX}/runs/{{run}}/rounds/{{n}}/clients/{{client}}", tags=["exports"])

Number = Annotated[int, Path(ge=0)]


@router.post("/export", status_code=202)
def order_export(
    run: str, n: Number, client: str, body: ExportOrder, response: Response, service: Aggregator
) -> ExportView:
    """Have a client's personal model written onto its own volume, by a Job of its own. While that is at work, the same
    again is the same Job; afterwards another one makes sure that the folder is there."""
    record = service.run(run)
    round = service.round(record, n)
    service.assignment(record, n, client)
    if round.publication is None:
        raise coded(Conflict, "not_published", f"round {n} of run {run!r} is not published", "export an earlier round")
    if why := gap(record, round, client, body.point):
        raise coded(Conflict, "nothing_to_export", why)
    try:
        ordered = service.exports.order(record, round, client, body)
    except (JobRejected, FileNotFoundError) as error:
        raise coded(Conflict, "export_refused", str(error)) from error
    service.loop.bell.ring()
    query = f"?point={body.point}&merge_lora={str(body.merge_lora).lower()}"
    response.headers["Location"] = f"{PREFIX}/runs/{run}/rounds/{n}/clients/{client}/export{query}"
    return service.exports.view(record, ordered)


@router.get("/export")
def get_export(
    run: str,
    n: Number,
    client: str,
    service: Aggregator,
    point: Point = "merged",
    merge_lora: Annotated[bool, Query()] = False,
) -> ExportView:
    """How far an export is: the last Job for this very model."""
    record = service.run(run)
    found = service.exports.find(
        record, service.round(record, n), client, ExportOrder(point=point, merge_lora=merge_lora)
    )
    if found is None:
        hint = "POST to the same path orders it; 'pilot export' does"
        raise NotFound(f"the {point} model of {client!r} in round {n} of run {run!r} was not ordered so", hint=hint)
    return service.exports.view(record, found)
