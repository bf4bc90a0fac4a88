"""The application: edges built once, routes attached, nothing at module level."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from pilot_disk.database import check
from pilot_http import app as common
from pilot_http.identity import authenticator, doors
from sqlalchemy.exc import SQLAlchemyError

from pilot_registry import errors, garbage
from pilot_registry.api import adapters, admin, models, protocol, resolve, uploads
from pilot_registry.context import Clock, Registry, open_registry
from pilot_registry.housekeeping import Housekeeping
from pilot_registry.hub import errors as hub_errors
from pilot_registry.policy import POLICY
from pilot_registry.settings import Settings
from pilot_registry.ui import errors as page_errors
from pilot_registry.ui.health import Health
from pilot_registry.ui.pages import ROUTERS
from pilot_registry.ui.signins import SignIns
from pilot_registry.ui.upstream import Aggregator
from pilot_registry.ui.verifications import Verifications

log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The clock outside tests."""
    return datetime.now(UTC)


def build_app(settings: Settings, clock: Clock = utc_now) -> FastAPI:
    """A registry over a state folder, which is migrated and brought up to date first."""
    registry = open_registry(settings, clock)
    registry.staging.clear()
    signins = SignIns(settings.state_dir / "signins.key", settings.session_s)
    authenticate = authenticator(settings, settings.keys)
    app = common.build(
        service="registry",
        title="Pilot registry",
        authenticate=authenticate,
        doors=(*doors(settings), signins),
        policy=POLICY,
        metrics=registry.metrics.registry,
        ready=lambda: _check_ready(registry),
        hosts=settings.hosts,
    )
    app.state.registry = registry
    app.state.authenticate, app.state.signins = authenticate, signins
    app.state.aggregator = Aggregator(settings.aggregator_url)
    app.state.verifications = Verifications(clock)
    app.state.health = Health(registry, app.state.aggregator)
    app.state.housekeeping = Housekeeping(registry)
    app.router.lifespan_context = _lifespan
    errors.install(app)
    hub_errors.install(app)
    for router in (
        protocol.router,
        protocol.files,
        uploads.router,
        adapters.router,
        admin.router,
        *ROUTERS,
        models.router,
        resolve.router,
    ):
        app.include_router(router)
    page_errors.install(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    registry: Registry = app.state.registry
    sweeping = asyncio.create_task(_sweep_regularly(registry))
    yield
    sweeping.cancel()
    app.state.verifications.close()
    app.state.aggregator.close()
    registry.journal.drain()
    registry.close()


async def _sweep_regularly(registry: Registry) -> None:
    """Without this, retention would only promise: tombstones' bytes must go although nobody asks."""
    while registry.settings.gc_every_s:
        await asyncio.sleep(registry.settings.gc_every_s)
        try:
            await run_in_threadpool(garbage.collect, registry, registry.settings.gc_grace_s, dry_run=False)
        except (OSError, SQLAlchemyError):
            log.exception("the garbage collection failed; the next one will try again")


def _check_ready(registry: Registry) -> None:
    check(registry.database.engine)
    registry.store.ready()
