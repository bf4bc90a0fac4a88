"""`python -m pilot_aggregator`: read the settings, put the parts together, serve."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import uvicorn
from filelock import FileLock, Timeout
from pilot_client.registry import RegistryClient
from pilot_client.transport import Token, Transport
from pilot_disk.database import connect, upgrade
from pilot_disk.faults import DatabaseUnusable
from pilot_http import environment
from pilot_http.identity import IdentityUnusable, authenticator, doors
from pilot_proto.problem import InvalidDocument
from pydantic import ValidationError

from pilot_aggregator.app import build_app
from pilot_aggregator.clock import Clock, SystemClock
from pilot_aggregator.federation import FederationFile
from pilot_aggregator.jobs.backend import JobBackend
from pilot_aggregator.jobs.local import LocalBackend
from pilot_aggregator.merge.process import MergeProcess
from pilot_aggregator.rounds.act import Actor
from pilot_aggregator.rounds.announcements import Announcements
from pilot_aggregator.rounds.attempts import Attempts
from pilot_aggregator.rounds.background import Background
from pilot_aggregator.rounds.exports import Exports
from pilot_aggregator.rounds.loop import Bell, Loop
from pilot_aggregator.rounds.reconcile import Board, Reconciler
from pilot_aggregator.rounds.workbench import Workbench
from pilot_aggregator.service import Service
from pilot_aggregator.settings import Settings
from pilot_aggregator.store.store import LANDMARK, MIGRATIONS, Store
from pilot_aggregator.webhook import Receiver, Webhook

if TYPE_CHECKING:
    from pilot_aggregator.jobs.kubernetes.api import Cluster
    from pilot_aggregator.jobs.kubernetes.lease import Lease

log = logging.getLogger("pilot_aggregator")

REGISTRY_PATIENCE_S = 5.0


def main() -> int:
    """Serve until told to stop. One aggregator per state folder."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = Settings()
    except ValidationError as error:
        log.error("%s", environment.told("aggregator", "PILOT_AGGREGATOR_", error))
        return 78
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(settings.state_dir / "aggregator.lock")
    try:
        lock.acquire(timeout=10)
    except Timeout:
        log.error("another aggregator works in %s; stop it, or give another state folder", settings.state_dir)
        return 75
    # Inherited by the fork server before it imports torch: more threads than cores make every job many times slower.
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads_per_job))
    try:
        service = put_together(settings)
    except DatabaseUnusable as error:
        log.error("PILOT_AGGREGATOR_DATABASE_URL: %s", error)
        return 75
    except (InvalidDocument, OSError) as error:
        # The federation, the job templates, a key: files that a person wrote or mounted.
        log.error("%s", error)
        return 78
    try:
        identity = authenticator(settings, settings.keys)
        app = build_app(service, identity, settings.allowed_hosts, doors(settings))
    except IdentityUnusable as error:
        log.error("%s", error)
        service.close()
        return 78
    lease = lease_of(settings, service)
    if lease is None:
        begin(service)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            ssl_certfile=settings.tls_cert_file,
            ssl_keyfile=settings.tls_key_file,
            log_level="warning",
            timeout_graceful_shutdown=2,
        )
    )
    try:
        # Once it has shut down, uvicorn raises the signal that ended it again.
        with suppress(KeyboardInterrupt):
            server.run()
    finally:
        service.loop.stop()
        if webhook := service.reconciler.webhook:
            webhook.stop()
        service.close()
        if lease is not None:
            lease.stop()
    return 0


def begin(service: Service) -> None:
    """Start to drive runs."""
    service.loop.start()
    if webhook := service.reconciler.webhook:
        webhook.start()


def lease_of(settings: Settings, service: Service) -> "Lease | None":
    """The Lease, tried for from now on, where there are replicas: whoever gets it begins, whoever loses it ends."""
    if not settings.lease:
        return None
    from pilot_aggregator.jobs.kubernetes.api import Cluster
    from pilot_aggregator.jobs.kubernetes.lease import Lease
    from pilot_aggregator.jobs.kubernetes.signpost import identity

    def lead(fence: int) -> None:
        service.store.take_over(fence)
        service.reconciler.up_since = service.clock.now()
        begin(service)

    def lost() -> None:
        # Nothing that is under way may go on. What is started next stands by.
        os.kill(os.getpid(), signal.SIGTERM)

    def connect() -> "Coroutine[Any, Any, Cluster]":
        return Cluster.connect(settings.pod_namespace, settings.kubeconfig)

    # A pod's host name is its own.
    lease = Lease(connect, settings.lease, identity(socket.gethostname()), service.store.fence)
    lease.start(lead, lost)
    return lease


def put_together(settings: Settings) -> Service:
    """The parts, connected."""
    engine = connect(settings.database)
    upgrade(engine, MIGRATIONS, LANDMARK)
    store = Store(engine, fenced=bool(settings.lease))
    clock = SystemClock()
    federation = FederationFile(settings.federation)
    token = Token(file=settings.key_dir / "aggregator.key")
    registry = RegistryClient(Transport(settings.registry_url, token, patience_s=REGISTRY_PATIENCE_S))
    backend = backend_of(settings, store)
    own_url = settings.public_url or f"http://{settings.host}:{settings.port}"
    attempts = Attempts(
        store,
        backend,
        clock,
        {"PILOT_AGGREGATOR_URL": own_url, "PILOT_REGISTRY_URL": settings.registry_url},
        federation.model_path,
    )
    exports = Exports(store, backend, registry, attempts, clock)
    board: Board = {}
    bell = Bell()
    background = Background(bell.ring, bell.hurry)
    spool = settings.state_dir / "spool"
    spool.mkdir(exist_ok=True)
    merges = MergeProcess()
    actor = Actor(attempts, Workbench(store, registry, background, merges, clock, spool))
    webhook = webhook_of(settings, store, clock, own_url)
    reconciler = Reconciler(store, registry, attempts, actor, clock, board, clock.now(), webhook)
    announcements = Announcements(store, backend.tell)

    def look() -> None:
        federation.now()
        exports.follow()
        announcements.hand_on()
        attempts.see_off()

    loop = Loop(store, reconciler, settings.tick_s, bell, look)
    return Service(store, federation, registry, attempts, exports, background, reconciler, loop, board, clock, spool)


def webhook_of(settings: Settings, store: Store, clock: Clock, own_url: str) -> Webhook | None:
    """The deployment's webhook, if it has one."""
    if not settings.webhook_url or settings.webhook_secret_file is None:
        return None
    receiver = Receiver(
        url=settings.webhook_url,
        secret_file=settings.webhook_secret_file,
        attempts=settings.webhook_attempts,
        retry_s=settings.webhook_retry_s,
        public_url=own_url,
    )
    return Webhook(store, receiver, clock)


def backend_of(settings: Settings, store: Store) -> JobBackend:
    """Where jobs run. The libraries of a cluster are loaded only where there is one."""
    if settings.backend == "local" or settings.job_templates is None:
        backend = local_backend(settings)
        backend.warm_up()
        return backend
    from pilot_aggregator.jobs.kubernetes.backend import KubernetesBackend
    from pilot_aggregator.jobs.kubernetes.templates import read_templates

    templates = read_templates(settings.job_templates)
    return KubernetesBackend(
        templates, kubeconfig=settings.kubeconfig, ttl_s=settings.job_ttl_s, fence=lambda: store.term
    )


def local_backend(settings: Settings) -> LocalBackend:
    """Processes of this machine: every client's state and credential, and a slot for each job at a time."""

    def environment(client: str) -> dict[str, str]:
        return {
            "PILOT_TOKEN_FILE": str(settings.key_dir / "clients" / f"{client}.key"),
            "PILOT_STATE_DIR": str(settings.state_dir / "clients" / client),
        }

    slots = [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in settings.gpus] or [{} for _ in range(settings.max_parallel)]
    return LocalBackend(settings.state_dir / "jobs", entry=settings.job_entry, environment=environment, slots=slots)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
