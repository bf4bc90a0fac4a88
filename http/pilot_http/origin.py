"""Which page a browser's request comes from: other sites must not act with a credential that it sends unasked.

Browsers say it in `Sec-Fetch-Site`, older ones with every writing request in `Origin`. What says neither is no browser
of today, and brings its credential itself; with one that is sent unasked it is refused.
"""

from urllib.parse import urlsplit

from fastapi import Request

from pilot_http.problems import Forbidden, coded

LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
HINT = "open the page of this service and do it there; programs send 'Authorization: Bearer KEY'"


def check_same_site(request: Request) -> None:
    """Let a request pass that only looks, or comes from a page of this service.

    Raises:
        Forbidden: `cross_site`.
    """
    if request.method in LOOKING:
        return
    headers = request.headers
    if not same_site(headers.get("sec-fetch-site"), headers.get("origin"), headers.get("host", "")):
        raise coded(Forbidden, "cross_site", "this request does not come from a page of this service", hint=HINT)


def same_site(fetch_site: str | None, origin: str | None, host: str) -> bool:
    """Whether the headers say that the request comes from the host that it goes to.

    `none` is a person who typed the address. Only the host of an origin counts: before a proxy the scheme may differ.
    """
    if fetch_site is not None:
        return fetch_site in ("same-origin", "none")
    return bool(origin) and urlsplit(origin or "").netloc == host
