"""What a listing is asked for: filters, and words such as `run:digits` in what somebody typed. Pure."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from pilot_http.problems import Invalid
from pilot_proto.names import Kind

State = Literal["live", "deleted"]
KINDS = (*get_args(Kind), "update")
STATES = get_args(State)
WORDS = ("run", "client", "task", "kind", "round", "state")
"""What may stand before a colon."""
LAST_ROUND = 1_000_000
DIGEST = re.compile(r"^(?:sha256:)?([0-9a-f]{6,64})$")
"""Shorter ones fit so many files that none is meant."""


@dataclass(frozen=True)
class Search:
    """What the versions of a listing have in common; None means anything."""

    run: str | None = None
    kind: str | None = None
    client: str | None = None
    task: str | None = None
    round: int | None = None
    state: str | None = None
    repo: str | None = None
    words: tuple[str, ...] = ()
    """Each a part of the repository's name, or how a commit or the digest of a file begins."""

    @property
    def text(self) -> str:
        """The words that are no filters, as they are typed."""
        return " ".join(self.words)


def read(q: str | None, filters: Search) -> Search:
    """The filters, and what `q` says; where both name the same, `q` holds, because it was typed last.

    Raises:
        Invalid: a word with a colon that is no filter, or whose value cannot be one.
    """
    named: dict[str, Any] = {}
    words: list[str] = []
    for word in (q or "").split():
        name, colon, value = word.partition(":")
        if colon and name != "sha256":
            named[name.lower()] = _value(name.lower(), value, word)
        else:
            # Names, commits and digests have small letters only.
            words.append(word.lower())
    return replace(filters, **named, words=(*filters.words, *words))


def digest_prefix(word: str) -> str | None:
    """How the digests begin that a word may mean; None where it means none."""
    found = DIGEST.match(word)
    return f"sha256:{found[1]}" if found else None


def as_parameters(search: Search) -> Mapping[str, str]:
    """The same search as the query of a request."""
    named = {field.name: getattr(search, field.name) for field in fields(search) if field.name != "words"}
    found = {name: str(value) for name, value in named.items() if value is not None}
    return found | ({"q": search.text} if search.words else {})


def _value(name: str, value: str, word: str) -> str | int:
    if name not in WORDS:
        raise Invalid(f"{word[:80]!r}: {name[:40]!r} is no filter", hint=_hint("filters", name, WORDS))
    if not value:
        raise Invalid(f"{word!r} names nothing", hint=f"write {name}:VALUE without a space")
    if name == "round":
        return _round(value)
    known = {"kind": KINDS, "state": STATES}.get(name)
    if known and value not in known:
        raise Invalid(f"{value[:40]!r} is no {name}", hint=_hint(f"{name}s", value, known))
    return value


def _round(value: str) -> int:
    # Digits of other scripts are digits to Python; more than seven are no round.
    if not re.fullmatch("[0-9]{1,7}", value) or int(value) > LAST_ROUND:
        raise Invalid(f"{value[:40]!r} is no round", hint="write round:N with a whole number")
    return int(value)


def _hint(what: str, wrong: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(wrong, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"{what}: {', '.join(known)}{meant}"
