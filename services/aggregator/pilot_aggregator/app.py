"""The aggregator's application, put together from its parts; no state of its own."""

import logging
from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pilot_disk.faults import reason
from pilot_http.app import build
from pilot_http.auth import Authenticator, Door
from pilot_http.problems import Unavailable, problem_of, respond
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import OperationalError

from pilot_aggregator.api import clients, events, exports, rounds, runs
from pilot_aggregator.metrics import Fleet
from pilot_aggregator.policy import POLICY
from pilot_aggregator.service import Service
from pilot_aggregator.store.sql import StaleLeader

log = logging.getLogger(__name__)


def build_app(service: Service, authenticate: Authenticator, hosts: list[str], doors: Sequence[Door] = ()) -> FastAPI:
    """The application over a service."""
    metrics = CollectorRegistry()
    metrics.register(Fleet(service.store, service.attempts))
    metrics.register(service.loop.seconds)
    app = build(
        service="aggregator",
        title="Pilot aggregator",
        authenticate=authenticate,
        doors=doors,
        policy=POLICY,
        metrics=metrics,
        ready=service.check,
        hosts=hosts,
    )
    app.add_exception_handler(OperationalError, _database_away)
    app.add_exception_handler(StaleLeader, _another_leads)
    app.state.service = service
    for module in (runs, rounds, exports, clients, events):
        app.include_router(module.router)
    return app


def _database_away(request: Request, error: Exception) -> JSONResponse:
    """Worth another try: trainers and people wait for a database that comes back."""
    assert isinstance(error, OperationalError)
    log.error("database fault at %s %s: %s", request.method, request.url.path, reason(error))
    problem = Unavailable("the aggregator's database is busy or away", hint="try again shortly; /readyz says why")
    return respond(request, problem_of(problem), {"Retry-After": "2"})


def _another_leads(request: Request, error: Exception) -> JSONResponse:
    """Worth another try on another connection: the Service leads a new one to the leader."""
    problem = Unavailable(
        f"not this aggregator: {error}", hint="try again; the Service of the aggregators finds the leader"
    )
    return respond(request, problem_of(problem), {"Retry-After": "1", "Connection": "close"})
