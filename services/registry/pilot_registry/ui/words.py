"""Times, sizes, numbers and names as people read them. Pure: strings out, which templates escape."""

import unicodedata
from datetime import UTC, datetime

from markupsafe import Markup, escape

LONGEST = 80
"""Of a foreign text in a table or a heading; the whole stands in its title, up to LONGEST_TITLE."""
LONGEST_TITLE = 400
MARKS = frozenset({"Cf", "Cc", "Co", "Cn", "Zl", "Zp"})
"""Unicode's invisible: directions, controls, line separators."""
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def moment(value: datetime | str | None) -> datetime | None:
    """A time as a value, whichever way it came."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return value


def when(value: datetime | str | None) -> Markup:
    """A time: UTC on the page, which a script turns into the reader's own with UTC in the title."""
    found = moment(value)
    if found is None:
        return Markup("<span class=quiet>&ndash;</span>")
    utc = found.astimezone(UTC)
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M:%S"), utc.strftime("%Y-%m-%d %H:%M")
    )


def ago(value: datetime | str | None, now: datetime) -> Markup:
    """How long since a time, with the time in the title."""
    found = moment(value)
    if found is None:
        return Markup("<span class=quiet>&ndash;</span>")
    utc = found.astimezone(UTC)
    return Markup('<time class="ago" datetime="{}" title="{} UTC">{} ago</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M:%S"), span((now - utc).total_seconds())
    )


def span(seconds: float | None) -> str:
    """A duration in its two largest units."""
    if seconds is None:
        return "\N{EN DASH}"
    left = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in UNITS:
        if left >= size or (unit == "s" and not parts):
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts[:2])


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, int) or (value == int(value) and abs(value) < 10**digits):
        return f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def plain(text: str) -> str:
    """Foreign text on one line, with nothing in it that steers how the line is drawn."""
    shown = text[: 4 * LONGEST_TITLE]
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(_seen(c) for c in shown)
    return " ".join(shown.split())


def cut(text: str | None, longest: int = LONGEST) -> Markup:
    """Foreign text, shortened in the middle; the title has more of it."""
    if not text:
        return Markup("")
    shown = plain(text)
    if len(shown) <= longest and len(text) <= 4 * LONGEST_TITLE:
        return escape(shown)
    head, tail = longest * 2 // 3, longest // 3 - 1
    short = f"{shown[:head]}\N{HORIZONTAL ELLIPSIS}{shown[-tail:]}"
    return Markup('<span title="{}">{}</span>').format(shown[:LONGEST_TITLE], short)


def commit(text: str | None) -> str:
    """The beginning of a commit or a digest."""
    return (text or "").removeprefix("sha256:")[:12]


def _seen(character: str) -> str:
    if unicodedata.category(character) not in MARKS:
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"
