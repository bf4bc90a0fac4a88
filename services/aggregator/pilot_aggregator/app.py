"""The aggregator's application, put together from its parts; no state of its own."""

from fastapi import FastAPI
from pilot_http.app import build
from pilot_http.auth import Authenticator
from prometheus_client import CollectorRegistry

from pilot_aggregator.api import clients, events, rounds, runs
from pilot_aggregator.metrics import Fleet
from pilot_aggregator.policy import POLICY
from pilot_aggregator.service import Service


def build_app(service: Service, authenticate: Authenticator, hosts: list[str]) -> FastAPI:
    """The application over a service."""
    metrics = CollectorRegistry()
    metrics.register(Fleet(service.store))
    app = build(
        service="aggregator",
        title="Pilot aggregator",
        authenticate=authenticate,
        policy=POLICY,
        metrics=metrics,
        ready=service.store.check,
        hosts=hosts,
    )
    app.state.service = service
    for module in (runs, rounds, clients, events):
        app.include_router(module.router)
    return app
