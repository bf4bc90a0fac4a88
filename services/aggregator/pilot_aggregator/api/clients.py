"""For trainers: what to do, and how it goes. All but the assignment are hints; the registry is where results count."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pilot_http.app import PREFIX
from pilot_proto.assignment import AssignmentView
from pilot_proto.run import CommitReport, FailureReport, Progress

from pilot_aggregator.service import Aggregator
from pilot_aggregator.store.records import Timings

router = APIRouter(prefix=f"{PREFIX}/runs/{{run}}/rounds/{{n}}/clients/{{client}}", tags=["clients"])

Number = Annotated[int, Path(ge=0)]


@router.get("/assignment")
def get_assignment(run: str, n: Number, client: str, service: Aggregator) -> AssignmentView:
    """What this client must do in this round."""
    part = service.part(run, n, client)
    return AssignmentView.read(
        b'{"uid":"%s","digest":"%s","assignment":%s}' % (part.uid.encode(), part.digest.encode(), part.body)
    )


@router.post("/progress", status_code=204)
def post_progress(run: str, n: Number, client: str, body: Progress, service: Aggregator) -> Response:
    """Where an attempt is; the last word counts."""
    part = service.part(run, n, client)
    service.board[part.uid, n, client] = (body, service.clock.now())
    return Response(status_code=204)


@router.post("/report", status_code=204)
def post_report(run: str, n: Number, client: str, body: CommitReport, service: Aggregator) -> Response:
    """A hint that the update is in the registry, and how long what took."""
    part = service.part(run, n, client)
    if body.timings:
        service.store.times.note(part.uid, n, client, Timings(service.clock.now(), body.timings))
    service.loop.bell.ring()
    return Response(status_code=204)


@router.post("/failure", status_code=204)
def post_failure(run: str, n: Number, client: str, body: FailureReport, service: Aggregator) -> Response:
    """Why an attempt gave up."""
    part = service.part(run, n, client)
    failure = f"{body.code}: {body.message}"
    service.store.change_assignment(part.uid, n, part.client, failure=failure)
    service.store.add_event(part.uid, service.clock.now(), "ClientFailed", n, client, failure)
    service.loop.bell.ring()
    return Response(status_code=204)
