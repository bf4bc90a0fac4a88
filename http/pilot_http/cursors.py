"""Opaque page cursors: a stable position, never an offset."""

import base64
import binascii
import json
from datetime import datetime

from pilot_http.problems import Invalid

MAX_LIMIT = 200


def encode(position: list[str | int]) -> str:
    """The cursor for a position (the sort key of the last row shown)."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def decode(cursor: str | None, length: int) -> list[str | int] | None:
    """The position behind a cursor, or None for the first page.

    Raises:
        Invalid: when it is not a cursor of ours with `length` parts.
    """
    if cursor is None:
        return None
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        position = None
    if not isinstance(position, list) or len(position) != length:
        raise Invalid(f"{cursor[:40]!r} is not a cursor", hint="use `next` of an earlier page as it is")
    return position


def instant_and_id(position: list[str | int] | None) -> tuple[datetime, str] | None:
    """A position in a list that is sorted by a moment, then an id."""
    if position is None:
        return None
    moment, identity = position
    try:
        return datetime.fromisoformat(str(moment)), str(identity)
    except ValueError as error:
        raise Invalid("the cursor is not one of this list", hint="use `next` of an earlier page as it is") from error
