"""`python -m pilot_registry [serve|gc|reindex]`."""

import argparse
import json
import logging
import socket
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime

import uvicorn
from pilot_disk.files import locked, write_atomically
from pilot_proto.registry import ReindexReport
from pydantic import BaseModel

from pilot_registry import garbage
from pilot_registry.app import build_app, utc_now
from pilot_registry.context import open_registry
from pilot_registry.settings import Settings

log = logging.getLogger(__name__)

EX_TEMPFAIL = 75
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
    chosen = parser.parse_args(arguments)
    settings = Settings()
    set_up_logs(settings)
    if chosen.command in (None, "serve"):
        return serve(settings)
    if chosen.command == "gc":
        grace = settings.gc_grace_s if chosen.older_than_s is None else chosen.older_than_s
        _print(garbage.collect(open_registry(settings, utc_now), grace, dry_run=chosen.dry_run))
    else:
        records, versions = open_registry(settings, utc_now).journal.rebuild()
        _print(ReindexReport(records=records, versions=versions))
    return 0


def _print(report: BaseModel) -> None:
    sys.stdout.write(report.model_dump_json() + "\n")


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
        write_atomically(settings.state_dir / URL_FILE, f"http://{host}:{port}".encode())
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5)
        uvicorn.Server(config).run(sockets=[listener])


def set_up_logs(settings: Settings) -> None:
    """Everything to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else plain)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
