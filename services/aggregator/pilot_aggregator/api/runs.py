"""Runs, for people."""

import hashlib
import uuid
from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pilot_http import cursors
from pilot_http.app import PREFIX
from pilot_http.auth import Caller
from pilot_http.problems import Conflict, Forbidden, Invalid, NotFound, coded
from pilot_proto.federation import Federation
from pilot_proto.presets import expand
from pilot_proto.problem import FieldError, InvalidDocument
from pilot_proto.report import RunReport
from pilot_proto.run import DryRun, RunPage, RunSpec, RunView, Trigger

from pilot_aggregator.rounds import creation
from pilot_aggregator.rounds.creation import Source
from pilot_aggregator.rounds.report import run_report
from pilot_aggregator.service import Aggregator, Service
from pilot_aggregator.store.store import NameTaken

router = APIRouter(prefix=PREFIX, tags=["runs"])

RUN_SCHEMA = {"schema": {"$ref": "#/components/schemas/Run"}}
WRITTEN_RUN = {
    "requestBody": {"required": True, "content": {"application/json": RUN_SCHEMA, "application/yaml": RUN_SCHEMA}}
}
DRY_RUN: dict[int | str, dict[str, Any]] = {200: {"model": DryRun, "description": "A dry run: nothing was started"}}


async def raw_body(request: Request) -> bytes:
    """The bytes as sent: an idempotency key stands for them."""
    return await request.body()


Body = Annotated[bytes, Depends(raw_body)]


@router.get("/federation")
def get_federation(service: Aggregator) -> Federation:
    """The base models, tasks and clients that this deployment knows."""
    return service.federation


@router.post("/runs", status_code=201, openapi_extra=WRITTEN_RUN, responses=DRY_RUN)
def create_run(
    raw: Body,
    response: Response,
    service: Aggregator,
    caller: Caller,
    dry_run: bool = False,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> RunView | DryRun:
    """Start a run. The preset of its method is written out; a dry run only says what it would be."""
    run = expand(_parsed(raw))
    clients = creation.check(run, service.federation)
    source = _source(service, run.spec)
    warnings = creation.warnings(run.spec, clients)
    if dry_run:
        response.status_code = 200
        return DryRun(run=run, clients=tuple(c.name for c in clients), warnings=tuple(warnings))
    digest = hashlib.sha256(raw).hexdigest()
    service.store.forget_idempotency(service.clock.now())
    known = service.store.remembered(str(caller), idempotency_key) if idempotency_key else None
    if known is not None:
        if known[0] != digest:
            raise coded(Invalid, "idempotency_key_reused", f"key {idempotency_key!r} was used for another request")
        response.headers["Location"] = f"{PREFIX}/runs/{known[1]}"
        return service.view(service.run(known[1]))
    record, first = creation.new_run(run, uuid.uuid4().hex, clients, service.clock.now(), source)
    remember = (str(caller), idempotency_key, digest) if idempotency_key else None
    try:
        service.store.create_run(record, first, remember)
    except NameTaken as error:
        hint = "choose another metadata.name; names stay taken so that adapters stay what they are called"
        raise coded(Conflict, "name_taken", f"a run named {run.metadata.name!r} exists", hint) from error
    service.loop.wake()
    response.headers["Location"] = f"{PREFIX}/runs/{record.name}"
    return service.view(service.run(record.name))


@router.get("/runs")
def list_runs(
    service: Aggregator,
    phase: str | None = None,
    limit: Annotated[int, Query(ge=1, le=cursors.MAX_LIMIT)] = 50,
    cursor: str | None = None,
) -> RunPage:
    """Runs, newest first."""
    position = cursors.decode(cursor, 2)
    found = service.store.runs(phase, limit + 1, cursors.instant_and_id(position))
    shown = found[:limit]
    following = cursors.encode([shown[-1].created_at.isoformat(), shown[-1].uid]) if len(found) > limit else None
    return RunPage(items=tuple(service.view(run) for run in shown), next=following)


@router.get("/runs/{run}")
def get_run(run: str, service: Aggregator) -> RunView:
    """A run: what was wanted, and what has been seen."""
    return service.view(service.run(run))


@router.get("/runs/{run}/spec")
def get_spec(run: str, service: Aggregator) -> RunSpec:
    """What was wanted, every default written out."""
    return service.run(run).spec


@router.get("/runs/{run}/report")
def get_report(run: str, service: Aggregator, caller: Caller, scores: bool = False) -> RunReport:
    """Every client's metric before, after each merge, and on its own model; scores per sample for operators only."""
    if scores and not caller.at_least("operator"):
        # One number per sample of a client's data is more than its mean: it tells who answered which question.
        raise Forbidden(f"{caller} may not read scores per sample", hint="allowed: operator, admin")
    """Every client's metric before, after each merge, and on its own model."""
    record = service.run(run)
    said = {round.number: round.updates or {} for round in service.store.rounds(record.uid)}
    return run_report(
        record.name,
        record.spec.method,
        len(record.spec.rounds),
        record.clients,
        said,
        record.slots,
        with_scores=scores,
    )


@router.post("/runs/{run}/rounds", status_code=202)
def trigger(run: str, body: Trigger, service: Aggregator) -> RunView:
    """Let rounds up to this one start. The largest ever sent counts."""
    record = service.run(run)
    service.allow(record, "trigger")
    last = record.plan.last_round
    through = last if body.through == "end" else body.through
    if through > last:
        fault = FieldError(pointer="/through", message=f"the run has {last} rounds, not {through}")
        raise InvalidDocument("trigger", [fault])
    service.store.request(record.uid, through=through)
    service.loop.wake()
    return service.view(service.run(run))


@router.post("/runs/{run}/pause", status_code=202)
def pause(run: str, service: Aggregator) -> RunView:
    """Publish the round at work, then stop."""
    return _wish(service, run, "pause", paused=True)


@router.post("/runs/{run}/resume", status_code=202)
def resume(run: str, service: Aggregator) -> RunView:
    """Go on after a pause."""
    return _wish(service, run, "resume", paused=False)


@router.post("/runs/{run}/cancel", status_code=202)
def cancel(run: str, service: Aggregator) -> RunView:
    """End the run; what was published stays."""
    return _wish(service, run, "cancel", cancelling=True)


def _wish(service: Service, name: str, verb: Any, **wish: bool) -> RunView:
    record = service.run(name)
    service.allow(record, verb)
    service.store.request(record.uid, **wish)
    service.loop.wake()
    return service.view(service.run(name))


def _parsed(raw: bytes) -> Any:
    try:
        return yaml.safe_load(raw)  # JSON is YAML, and people write YAML
    except yaml.YAMLError as error:
        raise Invalid(f"the body is neither JSON nor YAML: {error}") from error


def _source(service: Service, spec: RunSpec) -> Source | None:
    wanted = spec.start_from
    if wanted is None:
        return None
    run = service.store.run(wanted.run)
    if run is None:
        raise NotFound(f"start_from names the run {wanted.run!r}, which does not exist")
    round = service.store.round(run.uid, wanted.round)
    if round is None or round.publication is None:
        detail = f"round {wanted.round} of run {wanted.run!r} is not published"
        raise coded(Invalid, "not_published", detail, f"published rounds: 0 to {run.published}")
    if run.spec.model != spec.model:
        detail = f"run {wanted.run!r} tuned {run.spec.model!r}; its adapters do not fit {spec.model!r}"
        raise coded(Invalid, "other_model", detail, f"write 'model: {run.spec.model}', or leave start_from out")
    return Source(run, round)
