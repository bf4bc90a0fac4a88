"""What every operation of the registry works with."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from pilot_registry.admission.staging import Staging
from pilot_registry.database import Database
from pilot_registry.journal import Journal
from pilot_registry.metrics import Metrics
from pilot_registry.settings import Settings
from pilot_registry.store.folder import FolderStore
from pilot_registry.store.port import BlobStore

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Registry:
    """One registry: its settings and its edges."""

    settings: Settings
    database: Database
    store: BlobStore
    staging: Staging
    journal: Journal
    metrics: Metrics
    clock: Clock


def open_registry(settings: Settings, clock: Clock) -> Registry:
    """Open or create the state folder: migrate, drain what a crash left, replay what the database lacks."""
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database, store = (
        Database(settings.database_url, settings.busy_timeout_ms),
        FolderStore(settings.state_dir / "store"),
    )
    database.upgrade()
    journal = Journal(database, store, clock)
    journal.drain()
    replayed = journal.catch_up()
    if replayed:
        log.warning("the index lacked %d records of the store; they were replayed", replayed)
    staging = Staging(settings.state_dir / "staging")
    return Registry(settings, database, store, staging, journal, Metrics(), clock)


def registry_of(request: Request) -> Registry:
    """The registry behind a request."""
    registry: Registry = request.app.state.registry
    return registry


InRegistry = Annotated[Registry, Depends(registry_of)]
