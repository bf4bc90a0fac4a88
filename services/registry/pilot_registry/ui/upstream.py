"""The aggregator, asked for a person with that person's own credential; what it last said stands in while it is away.

What is remembered is kept by role, because roles see different things, and in memory only: it is a copy, and the pages
say how old.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar
from urllib.parse import urlencode

import httpx
from fastapi import Request
from pilot_client.transport import trusted
from pilot_http.app import PREFIX
from pilot_http.auth import credential_of, principal_of
from pilot_http.problems import PilotError, Unavailable
from pilot_http.recall import Recall
from pilot_proto.base import Stored
from pilot_proto.problem import Problem
from pydantic import ValidationError

D = TypeVar("D", bound=Stored)

PATIENCE_S = 10.0
CONNECT_S = 1.0
VOUCHED = {"Sec-Fetch-Site": "same-origin"}
"""Our guard has looked which page a request came from; the aggregator, which would look again, sees only us."""
REST_S = 3.0
"""After a silence nobody waits for another one so soon."""
REMEMBERED_BYTES = 32 << 20


class Answered(PilotError):
    """The aggregator refused; its own words."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail, problem.hint, problem.errors)
        self.status, self.code, self.title = problem.status, problem.code, problem.title


@dataclass(frozen=True)
class Answer(Generic[D]):
    """A document, and when it was true."""

    document: D
    as_of: datetime
    stale: bool = False
    """The aggregator is away: this is what it last said."""


class Aggregator:
    """One aggregator."""

    def __init__(
        self,
        url: str | None,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Without a `url` it is always away."""
        self.url = url
        self._http = httpx.Client(base_url=url, verify=trusted(), transport=transport) if url else None
        self._clock = clock
        self._silent_until = 0.0
        self._known: Recall[tuple[str, str], tuple[bytes, datetime]] = Recall(REMEMBERED_BYTES, _bytes_of)

    def close(self) -> None:
        if self._http is not None:
            self._http.close()

    def read(self, request: Request, kind: type[D], path: str, **query: object) -> Answer[D]:
        """A document, for whoever sent the request.

        Raises:
            Answered: it refused. Unavailable: it is away, and nothing is remembered.
        """
        wanted = {name: str(value) for name, value in sorted(query.items()) if value is not None}
        place = f"{PREFIX}/{path}" + (f"?{urlencode(wanted)}" if wanted else "")
        role = principal_of(request).role
        try:
            body = self._send(request, "GET", place).content
        except Unavailable:
            return self._recalled(kind, role, place)
        self._known.keep((role, place), (body, datetime.now(UTC)))
        return Answer(kind.read(body), datetime.now(UTC))

    def text(self, request: Request, path: str) -> str:
        """Plain text, for whoever sent the request. Nobody remembers it.

        Raises:
            Answered: it refused. Unavailable: it is away.
        """
        return self._send(request, "GET", f"{PREFIX}/{path}").text

    def do(
        self,
        request: Request,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> bytes:
        """Something that changes or computes, for whoever sent the request.

        Raises:
            Answered: it refused. Unavailable: it is away; nothing was done, or nobody knows.
        """
        return self._send(request, method, f"{PREFIX}/{path}", body, patience_s).content

    def _recalled(self, kind: type[D], role: str, place: str) -> Answer[D]:
        found = self._known.find((role, place))
        if found is None:
            raise Unavailable("the aggregator does not answer", hint="adapters can still be looked at; see System")
        body, as_of = found
        return Answer(kind.read(body), as_of, stale=True)

    def _send(
        self,
        request: Request,
        method: str,
        place: str,
        body: Mapping[str, object] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> httpx.Response:
        if self._http is None:
            raise Unavailable(
                "this registry was not told where its aggregator is", hint="PILOT_REGISTRY_AGGREGATOR_URL"
            )
        if self._clock() < self._silent_until:
            raise Unavailable("the aggregator did not answer a moment ago", hint="try again shortly")
        headers = {**credential_of(request).headers, **VOUCHED, "X-Request-Id": request.state.request_id}
        try:
            timeout = httpx.Timeout(patience_s, connect=CONNECT_S)
            response = self._http.request(method, place, headers=headers, json=body, timeout=timeout)
        except httpx.TransportError as error:
            self._silent_until = self._clock() + REST_S
            raise Unavailable(f"the aggregator does not answer: {error}", hint="try again shortly") from error
        return _checked(response)


def _bytes_of(kept: tuple[bytes, datetime]) -> int:
    return len(kept[0])


def _checked(response: httpx.Response) -> httpx.Response:
    if not response.is_error:
        return response
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        problem = Problem(type="", title="", status=response.status_code, code="http", detail=response.text[:200])
    if response.status_code in (502, 503, 504):
        raise Unavailable(problem.detail, problem.hint)
    raise Answered(problem)
