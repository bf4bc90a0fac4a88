"""What a job printed, line by line: our trainers write JSON objects, everybody else writes what they like."""

import json
from typing import Any

from pilot_proto.base import Stored

MOST = 400
TONES = {"error": "bad", "critical": "bad", "warning": "warning"}


class LogLine(Stored):
    """One line."""

    at: str = ""
    """A time of day, as the job told it."""
    level: str = ""
    tone: str = ""
    text: str
    more: str = ""
    """Its other fields."""


def log_lines(text: str) -> tuple[LogLine, ...]:
    """The last lines of a log."""
    return tuple(_line(line) for line in text.splitlines()[-MOST:])


def _line(raw: str) -> LogLine:
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        return LogLine(text=raw)
    if not isinstance(told, dict) or "event" not in told:
        return LogLine(text=raw)
    level = str(told.get("level", ""))
    fields = {name: value for name, value in told.items() if name not in ("time", "level", "event")}
    return LogLine(
        at=str(told.get("time", ""))[11:23],
        level=level,
        tone=TONES.get(level, ""),
        text=str(told["event"]),
        more=", ".join(f"{name} {_value(value)}" for name, value in fields.items()),
    )


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
