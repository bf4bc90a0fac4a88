"""Log lines as JSON objects on standard output: one event with its fields per line."""

import json
import logging
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName"}


class JsonLines(logging.Formatter):
    """Time, level, event and whatever was passed as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Stdout(logging.Handler):
    """Writes to what standard output is at that moment: a forked child may have been given another."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line, at once."""
        sys.stdout.write(self.format(record) + "\n")
        sys.stdout.flush()


def log_to_stdout() -> None:
    """Send everything from INFO up, and Python's warnings, to standard output."""
    handler = _Stdout()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # One line per request and retry would bury what the trainer itself has to say.
    for chatty in ("httpx", "httpcore", "stamina", "accelerate"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
