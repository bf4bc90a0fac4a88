"""Runs, for people."""

import hashlib
import json
import uuid
from contextlib import suppress
from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pilot_http import cursors
from pilot_http.app import PREFIX
from pilot_http.auth import Caller
from pilot_http.problems import Conflict, Forbidden, Invalid, NotFound, coded
from pilot_proto.federation import FederationView
from pilot_proto.presets import expand
from pilot_proto.problem import FieldError, InvalidDocument
from pilot_proto.report import RunReport
from pilot_proto.run import DryRun, Phase, RunPage, RunSpec, RunView, Trigger

from pilot_aggregator.rounds import creation
from pilot_aggregator.rounds.advice import advice
from pilot_aggregator.rounds.continuation import Source, check_source, continuation
from pilot_aggregator.rounds.view import run_outline
from pilot_aggregator.service import Aggregator, Service
from pilot_aggregator.store.records import RunRecord
from pilot_aggregator.store.runs import NameTaken

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
def get_federation(service: Aggregator) -> FederationView:
    """The base models, tasks and clients that this deployment knows, and whether its file as it is now is in force."""
    return service.federation.view()


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
    digest = hashlib.sha256(raw).hexdigest()
    service.store.forget_idempotency(service.clock.now())
    if not dry_run and (known := _created_before(service, caller, idempotency_key, digest)):
        return _created(service, response, known)
    run = expand(_parsed(raw))
    federation = service.federation.now()
    clients = creation.check(run, federation)
    source = _source(service, run.spec)
    if source:
        check_source(run.spec, clients, source)
    model_license = creation.license_of(run, federation)
    record, first = creation.new_run(run, uuid.uuid4().hex, clients, service.clock.now(), source, model_license)
    if dry_run:
        response.status_code = 200
        return DryRun(
            run=run,
            clients=tuple(c.name for c in clients),
            warnings=(*advice(run.spec, clients, source), *_refusals(service, record)),
            continues=continuation(run, clients, source) if source else None,
        )
    remember = (str(caller), idempotency_key, digest) if idempotency_key else None
    try:
        service.store.create_run(record, first, remember)
    except NameTaken as error:
        # The same request at the same moment may have come first: then this is its answer too.
        if known := _created_before(service, caller, idempotency_key, digest):
            return _created(service, response, known)
        hint = "choose another metadata.name; names stay taken so that adapters stay what they are called"
        raise coded(Conflict, "name_taken", f"a run named {run.metadata.name!r} exists", hint) from error
    service.background.ensure((record.uid, 0, "try out"), lambda: _tell_refusals(service, record))
    service.loop.bell.ring()
    return _created(service, response, record.name)


@router.get("/runs")
def list_runs(
    service: Aggregator,
    phase: Phase | None = None,
    active: bool = False,
    limit: Annotated[int, Query(ge=1, le=cursors.MAX_LIMIT)] = 50,
    cursor: str | None = None,
) -> RunPage:
    """Runs, newest first, without what their clients do now; only those that have not ended, if they are `active`."""
    position = cursors.decode(cursor, 2)
    found = service.store.runs(phase, limit + 1, cursors.instant_and_id(position), active=active)
    shown = found[:limit]
    following = cursors.encode([shown[-1].created_at.isoformat(), shown[-1].uid]) if len(found) > limit else None
    return RunPage(items=tuple(run_outline(run) for run in shown), next=following)


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
    return service.report(service.run(run), with_scores=scores)


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
    service.loop.bell.ring()
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
    service.loop.bell.ring()
    return service.view(service.run(name))


def _refusals(service: Service, run: RunRecord) -> list[str]:
    """Who could not start, as sentences: known before anything is."""
    try:
        refused = service.attempts.try_out(run)
    except OSError as error:
        return [f"whether the jobs could be made is not known: {error}"]
    return [f"the job of {client!r} would be refused: {why}" for client, why in refused.items()]


def _tell_refusals(service: Service, run: RunRecord) -> None:
    """As events, at once: a client's first attempt may be hours away."""
    for client, why in service.attempts.try_out(run).items():
        service.store.add_event(run.uid, service.clock.now(), "JobRefused", 0, client, why)


def _parsed(raw: bytes) -> Any:
    # JSON first: to our YAML reader 2e-05, which every JSON writer makes of 0.00002, is text.
    with suppress(ValueError):
        return json.loads(raw)
    try:
        return yaml.safe_load(raw)
    except yaml.YAMLError as error:
        raise Invalid(f"the body is neither JSON nor YAML: {error}") from error


def _created(service: Service, response: Response, name: str) -> RunView:
    response.headers["Location"] = f"{PREFIX}/runs/{name}"
    return service.view(service.run(name))


def _created_before(service: Service, caller: object, key: str | None, digest: str) -> str | None:
    """The run that this request started when it came the first time."""
    known = service.store.remembered(str(caller), key) if key else None
    if known is None:
        return None
    if known[0] != digest:
        raise coded(Invalid, "idempotency_key_reused", f"key {key!r} was used for another request")
    return known[1]


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
