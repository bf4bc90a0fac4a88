"""A page: one document, shown as HTML by its template or, to who asks for it, as JSON."""

import gzip
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

from fastapi import Request, Response
from markupsafe import Markup
from pilot_http.auth import Principal, principal_of
from pilot_proto.base import Stored
from pilot_reports import numbers

from pilot_registry.ui import assets, markdown, words

if TYPE_CHECKING:
    from jinja2 import Environment

SECURITY = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
    "Vary": "Accept, Accept-Encoding, Cookie",
}
HTML = "text/html; charset=utf-8"
PACK_FROM_BYTES = 1400
"""Less fits into one packet anyway."""

NAVIGATION = (
    ("Home", "/ui", "viewer"),
    ("Runs", "/ui/runs", "viewer"),
    ("Adapters", "/ui/adapters?state=live", "viewer"),
    ("Compare", "/ui/compare", "viewer"),
    ("Transfer", "/ui/transfer", "viewer"),
    ("Clients", "/ui/clients", "viewer"),
    ("Quarantine", "/ui/quarantine", "operator"),
    ("System", "/ui/system", "viewer"),
    ("Audit", "/ui/audit", "admin"),
)


class Crumb(Stored):
    """One step of the way to a page."""

    text: str
    url: str


class Notice(Stored):
    """Something that a reader must know before reading."""

    tone: Literal["info", "good", "warning", "bad"] = "info"
    text: str
    as_of: datetime | None = None
    """When what is shown was true, if it is not now."""


class Page(Stored):
    """What every page has; each adds what it shows."""

    title: str
    crumbs: tuple[Crumb, ...] = ()
    """Without the page itself."""
    notices: tuple[Notice, ...] = ()
    cli: str = ""
    """The command that tells the same."""


def show(request: Request, template: str, page: Page, status: int = 200) -> Response:
    """The page in the form that was asked for."""
    if wants_json(request):
        return _answer(request, page.model_dump_json().encode(), "application/json", status)
    html = _environment().get_template(template).render(page=page, frame=Frame(request), now=datetime.now(UTC))
    return _answer(request, html.encode(), HTML, status)


def drawn(template: str, page: Page, style: str) -> str:
    """A page without a frame, for a file; `style` is the text of our own stylesheet."""
    return _environment().get_template(template).render(page=page, style=Markup(style), now=datetime.now(UTC))


def part(template: str, macro: str, *values: object) -> str:
    """One element of a page, as a macro draws it."""
    return str(getattr(_environment().get_template(template).module, macro)(*values)).strip()


def wants_json(request: Request) -> bool:
    """`?format=json`, or an Accept header that names JSON and no HTML."""
    accept = request.headers.get("accept", "")
    return request.query_params.get("format") == "json" or ("json" in accept and "html" not in accept)


class Frame:
    """What stands around every page."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.path = request.url.path
        self.me: Principal = getattr(request.state, "principal", Principal("nobody"))
        self.request_id: str = getattr(request.state, "request_id", "")
        self.done: str = request.query_params.get("done", "")[:200]
        """What a form has just achieved."""
        self.search: str = request.query_params.get("q", "")[:100] if self.path == "/ui/adapters" else ""

    @property
    def navigation(self) -> list[tuple[str, str, bool]]:
        """Text, place, and whether we are there."""
        return [(text, url, self._here(url)) for text, url, role in NAVIGATION if self.me.at_least(role)]

    def _here(self, url: str) -> bool:
        url = url.partition("?")[0]
        return self.path == url or (url != "/ui" and self.path.startswith(url + "/"))

    @property
    def json_url(self) -> str:
        """This page as JSON."""
        return self.with_query(format="json")

    @property
    def curl(self) -> str:
        """A command that fetches it."""
        return f"curl -H \"Authorization: Bearer $PILOT_TOKEN\" '{self._request.base_url}{self.json_url.lstrip('/')}'"

    @property
    def path_has_cursor(self) -> bool:
        """Whether this is not the first page of a listing."""
        return "cursor" in self._request.query_params

    def with_query(self, **changes: object) -> str:
        """This page with other parameters; None takes one away."""
        kept = [(k, v) for k, v in self._request.query_params.multi_items() if k not in changes and k != "done"]
        added = [(name, str(value)) for name, value in changes.items() if value is not None]
        query = urlencode(kept + added)
        return f"{self.path}?{query}" if query else self.path

    def may(self, role: str) -> bool:
        """Whether the reader's role reaches another."""
        return self.me.at_least(role)


def caller_may(request: Request, role: str) -> bool:
    """Whether whoever asks has a role at least as high."""
    return principal_of(request).at_least(role)


def _answer(request: Request, body: bytes, media_type: str, status: int) -> Response:
    headers = dict(SECURITY)
    if len(body) > PACK_FROM_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, compresslevel=5, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, status, headers, media_type)


@cache
def _environment() -> "Environment":
    # Loaded with the first page: most restarts of a registry never show one.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("pilot_registry.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["asset"] = assets.url
    made.filters |= {
        "when": words.when,
        "ago": words.ago,
        "span": words.span,
        "number": words.number,
        "cut": words.cut,
        "commit": words.commit,
        "size": numbers.size,
        "score": numbers.score,
        "change": numbers.change,
        "markdown": markdown.markdown,
    }
    return made
