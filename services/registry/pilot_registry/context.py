"""What every operation of the registry works with."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from pilot_registry.admission.sessions import Sessions
from pilot_registry.admission.staging import Staging
from pilot_registry.database import Database
from pilot_registry.documents import Documents
from pilot_registry.journal import Journal
from pilot_registry.known import Findings
from pilot_registry.metrics import Metrics
from pilot_registry.settings import Settings
from pilot_registry.store.connection import open_bucket
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
    documents: Documents
    staging: Staging
    sessions: Sessions
    journal: Journal
    metrics: Metrics
    clock: Clock
    findings: Findings = field(default_factory=Findings)

    def close(self) -> None:
        """Let go of everything."""
        self.sessions.close()
        self.store.close()
        self.database.close()


def open_registry(settings: Settings, clock: Clock) -> Registry:
    """Open or create the state folder: migrate, drain what a crash left, replay what the database lacks.

    Raises:
        StoreFault: the store cannot be used; with the rule and the remedy.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = open_store(settings)
    store.verify()
    database = Database(settings.database_url, settings.busy_timeout_ms)
    database.upgrade()
    journal = Journal(database, store, clock)
    journal.drain()
    replayed = journal.catch_up()
    if replayed:
        log.warning("the index lacked %d records of the store; they were replayed", replayed)
    staging = Staging(settings.state_dir / "staging")
    sessions = Sessions(settings.state_dir / "uploads", store)
    return Registry(settings, database, store, Documents(store), staging, sessions, journal, Metrics(), clock)


def open_store(settings: Settings) -> BlobStore:
    """The store that the settings name."""
    return open_bucket(settings) if settings.store == "s3" else FolderStore(settings.state_dir / "store")


def registry_of(request: Request) -> Registry:
    """The registry behind a request."""
    registry: Registry = request.app.state.registry
    return registry


InRegistry = Annotated[Registry, Depends(registry_of)]
