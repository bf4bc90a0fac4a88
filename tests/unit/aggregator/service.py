"""The aggregator's application over a real store and fakes of everything else."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from pilot_aggregator.app import build_app
from pilot_aggregator.federation import FederationFile
from pilot_aggregator.merge.process import MergeProcess
from pilot_aggregator.rounds.act import Actor
from pilot_aggregator.rounds.attempts import Attempts
from pilot_aggregator.rounds.background import Background
from pilot_aggregator.rounds.exports import Exports
from pilot_aggregator.rounds.loop import Bell, Loop
from pilot_aggregator.rounds.reconcile import Board, Reconciler
from pilot_aggregator.rounds.workbench import Workbench
from pilot_aggregator.service import Service
from pilot_http.auth import Principal, parse_principal
from pilot_proto.names import PREPARER
from unit.aggregator.world import CLIENTS, FakeBackend, FakeRegistry, FrozenClock, federation_in, store_in

API = "/api/v1alpha1"
KEYS = ("viewer", "operator", "admin", "aggregator", *(f"client:{name}" for name in (*CLIENTS, PREPARER)))


def authenticate(token: str) -> Principal | None:
    """Everybody's key is their own name."""
    return parse_principal(token) if token in KEYS else None


def service_in(folder: Path) -> Service:
    """The parts, put together as `__main__` does; the loop is not started, so nothing moves by itself."""
    store, clock, backend = store_in(folder), FrozenClock(), FakeBackend()
    registry: Any = FakeRegistry()
    attempts = Attempts(store, backend, clock, {"PILOT_AGGREGATOR_URL": "http://here"}, str)
    bell, board = Bell(), Board()
    background = Background(bell.ring, bell.hurry)
    actor = Actor(attempts, Workbench(store, registry, background, MergeProcess(), clock, folder))
    reconciler = Reconciler(store, registry, attempts, actor, clock, board, clock.now())
    loop = Loop(store, reconciler, 1.0, bell)
    return Service(
        store=store,
        federation=FederationFile(federation_in(folder)),
        registry=registry,
        attempts=attempts,
        exports=Exports(store, backend, registry, attempts, clock),
        background=background,
        reconciler=reconciler,
        loop=loop,
        board=board,
        clock=clock,
        spool=folder,
    )


def app_over(service: Service) -> FastAPI:
    return build_app(service, authenticate, ["aggregator"])


def call(app: FastAPI, who: str, method: str, path: str, **options: Any) -> httpx.Response:
    """One request by one principal; `path` is below the API's prefix unless it starts with two slashes."""
    headers = {"Authorization": f"Bearer {who}", **options.pop("headers", {})}

    async def drive() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://aggregator") as client:
            url = path[1:] if path.startswith("//") else API + path
            return await client.request(method, url, headers=headers, **options)

    return asyncio.run(drive())
