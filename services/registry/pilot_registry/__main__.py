"""`python -m pilot_registry [serve|gc|reindex|check]`."""

import argparse
import json
import logging
import socket
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime

import uvicorn
from pilot_disk.faults import DatabaseUnusable
from pilot_disk.files import locked, write_atomically
from pilot_http import environment
from pilot_http.identity import IdentityUnusable
from pilot_proto.registry import CheckReport, ReindexReport
from pydantic import BaseModel, ValidationError

from pilot_registry import garbage, integrity
from pilot_registry.app import build_app, utc_now
from pilot_registry.context import Registry, open_registry
from pilot_registry.settings import Settings
from pilot_registry.store.port import StoreFault

log = logging.getLogger(__name__)

EX_FAULTS = 1
EX_TEMPFAIL = 75
EX_CONFIG = 78
URL_FILE = "registry.url"
BACKLOG = 2048


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pilot_registry", description="The registry of Pilot.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="answer requests (the default)")
    sweep = commands.add_parser("gc", help="delete bytes that nothing refers to")
    sweep.add_argument("--dry-run", action="store_true", help="only count")
    sweep.add_argument("--older-than-s", type=int, help="younger garbage stays; default: the settings' grace")
    commands.add_parser("reindex", help="rebuild the index from the store")
    check = commands.add_parser("check", help="compare store, index and journal; 1 when something is wrong")
    check.add_argument("--deep", action="store_true", help="hash every blob that is needed")
    chosen = parser.parse_args(arguments)
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(f"{environment.told('registry', 'PILOT_REGISTRY_', error)}\n")
        return EX_CONFIG
    set_up_logs(settings)
    try:
        return serve(settings) if chosen.command in (None, "serve") else _work(settings, chosen)
    except StoreFault as fault:
        log.error("%s; %s", fault.detail, fault.hint)
        return EX_CONFIG if fault.permanent else EX_TEMPFAIL
    except DatabaseUnusable as error:
        log.error("PILOT_REGISTRY_DATABASE: %s", error)
        return EX_TEMPFAIL
    except IdentityUnusable as error:
        log.error("%s", error)
        return EX_CONFIG


def _work(settings: Settings, chosen: argparse.Namespace) -> int:
    registry = open_registry(settings, utc_now)
    try:
        report = _report(registry, chosen)
    finally:
        registry.close()
    sys.stdout.write(report.model_dump_json() + "\n")
    return EX_FAULTS if isinstance(report, CheckReport) and not report.ok else 0


def _report(registry: Registry, chosen: argparse.Namespace) -> BaseModel:
    if chosen.command == "gc":
        grace = registry.settings.gc_grace_s if chosen.older_than_s is None else chosen.older_than_s
        return garbage.collect(registry, grace, dry_run=chosen.dry_run, serving=False)
    if chosen.command == "check":
        return integrity.check(registry, deep=chosen.deep)
    records, versions = registry.journal.rebuild()
    return ReindexReport(records=records, versions=versions)


def serve(settings: Settings) -> int:
    """Answer requests until a signal, as the only server of its state folder; the exit code."""
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as held:
        if not _take_over(settings, held):
            log.error("another registry serves %s; stop it, or choose another folder", settings.state_dir)
            return EX_TEMPFAIL
        _serve(settings)
    return 0


def _take_over(settings: Settings, held: ExitStack) -> bool:
    """Lock the state folder, giving a server that is shutting down its time; False when it stays."""
    deadline = time.monotonic() + settings.takeover_s
    while True:
        try:
            held.enter_context(locked(settings.state_dir, wait=False))
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _serve(settings: Settings) -> None:
    """`registry.url` in the state folder says where."""
    app = build_app(settings)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG) as listener:
        port = listener.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        scheme = "https" if settings.tls_cert_file else "http"
        write_atomically(settings.state_dir / URL_FILE, f"{scheme}://{host}:{port}".encode())
        config = uvicorn.Config(
            app,
            ssl_certfile=settings.tls_cert_file,
            ssl_keyfile=settings.tls_key_file,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
        )
        uvicorn.Server(config).run(sockets=[listener])


def set_up_logs(settings: Settings) -> None:
    """Everything to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else plain)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
