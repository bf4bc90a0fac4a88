"""Pages that are cut by one growing number."""

from typing import Annotated

from fastapi import Query
from pilot_http import cursors
from pilot_http.problems import Invalid

Limit = Annotated[int, Query(ge=1, le=cursors.MAX_LIMIT)]
Cursor = Annotated[str | None, Query(max_length=200)]

DEFAULT_LIMIT = 50


def below(cursor: str | None) -> int | None:
    """The number below which a page starts; None for the first page.

    Raises:
        Invalid: when it is not a cursor of ours.
    """
    position = cursors.decode(cursor, 1)
    if position is None:
        return None
    if not isinstance(position[0], int) or not 0 < position[0] < 1 << 62:
        raise Invalid("this is not a cursor", hint="use `next` of an earlier page as it is")
    return position[0]


def after(last: int) -> str:
    """The cursor of the page that follows the row numbered `last`."""
    return cursors.encode([last])
