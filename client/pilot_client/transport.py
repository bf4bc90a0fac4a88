"""One HTTP connection to one service: credentials, patience, and problems turned into exceptions."""

import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import stamina
from pilot_proto.problem import Problem
from pydantic import ValidationError

from pilot_client.errors import ApiError, Unreachable, Untrusted

T = TypeVar("T")

PREFIX = "/api/v1alpha1"
CHUNK_BYTES = 1 << 20
IDLE_TIMEOUT_S = 60.0
"""Between two bytes, never for a whole transfer: a slow line is not a dead one."""


@dataclass(frozen=True)
class Token:
    """A credential: given, or in a file that may be rotated while we run."""

    value: str | None = None
    file: Path | None = None

    def read(self) -> str:
        return self.file.read_text().strip() if self.file else self.value or ""

    @classmethod
    def of_environment(cls) -> "Token":
        """`PILOT_TOKEN_FILE`, or `PILOT_TOKEN`."""
        file = os.environ.get("PILOT_TOKEN_FILE")
        return cls(file=Path(file)) if file else cls(value=os.environ.get("PILOT_TOKEN"))


class Transport:
    """Requests to one service, tried again for `patience_s` while it is unreachable.

    Every request that goes through here is idempotent by design of the protocol, so trying again is always safe.
    `ca_file`, or `PILOT_CA_FILE`, has the certificates of an authority that the system does not know.
    """

    def __init__(
        self,
        base_url: str,
        token: Token,
        *,
        patience_s: float = 0.0,
        ca_file: Path | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._token = token
        self._patience_s = patience_s
        self._http = httpx.Client(
            base_url=self.base_url, timeout=IDLE_TIMEOUT_S, verify=trusted(ca_file), transport=transport
        )

    def close(self) -> None:
        self._http.close()

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One request.

        Raises:
            ApiError: the service refused.
            Unreachable: it did not answer within the patience.
        """
        return self.patiently(lambda: self.once(method, path, **arguments))

    def once(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One request, without patience."""
        headers = self._headers(arguments.pop("headers", None) or {})
        with _reachable(self.base_url):
            response = self._http.request(method, path, headers=headers, **arguments)
        return checked(response)

    def patiently(self, act: Callable[[], T]) -> T:
        """Do something until it is not Unreachable, or the patience is at its end."""
        for attempt in self._attempts():
            with attempt:
                return act()
        raise AssertionError("stamina either returns or raises")

    def send_file(self, path: str, file: Path, params: dict[str, Any]) -> httpx.Response:
        """PUT a file's bytes, streamed."""
        return self.patiently(lambda: self.send_part("PUT", path, file, params, 0, file.stat().st_size))

    def send_part(
        self, method: str, path: str, file: Path, params: dict[str, Any], begin: int, length: int
    ) -> httpx.Response:
        """Send some of a file's bytes, streamed, without patience."""
        with file.open("rb") as stream:
            stream.seek(begin)
            headers = {"Content-Length": str(length)}
            return self.once(method, path, params=params, headers=headers, content=_chunks(stream, length))

    def receive(self, path: str, target: Path) -> None:
        """GET bytes into a file that appears only when it is whole."""
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        for attempt in self._attempts():
            with (
                attempt,
                _reachable(self.base_url),
                self._http.stream("GET", path, headers=self._headers({})) as stream,
            ):
                if stream.is_error:
                    stream.read()
                    checked(stream)
                try:
                    with part.open("wb") as out:
                        for chunk in stream.iter_raw(CHUNK_BYTES):
                            out.write(chunk)
                    part.replace(target)
                finally:
                    part.unlink(missing_ok=True)
                return

    @contextmanager
    def events(self, path: str, last_event_id: str | None) -> Iterator[Iterator[str]]:
        """The lines of a server-sent event stream."""
        headers = self._headers({}) | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        with _reachable(self.base_url), self._http.stream("GET", path, headers=headers) as stream:
            if stream.is_error:
                stream.read()
                checked(stream)
            yield stream.iter_lines()

    def _attempts(self) -> Iterator[stamina.Attempt]:
        return iter(
            stamina.retry_context(
                on=Unreachable,
                attempts=None if self._patience_s else 1,
                timeout=self._patience_s or None,
                wait_initial=0.05,
                wait_max=5.0,
                wait_jitter=0.2,
            )
        )

    def _headers(self, extra: Mapping[str, str]) -> dict[str, str]:
        # Read for every attempt: the token's file may have been rotated in between.
        key = self._token.read()
        return {**({"Authorization": f"Bearer {key}"} if key else {}), "Accept-Encoding": "identity", **extra}


def trusted(ca_file: Path | None = None) -> ssl.SSLContext | bool:
    """Whose certificates count: those of a file, or of `PILOT_CA_FILE`, or what httpx trusts by itself.

    Raises:
        Untrusted: the file cannot be used.
    """
    named = ca_file or os.environ.get("PILOT_CA_FILE")
    if not named:
        return True
    try:
        return ssl.create_default_context(cafile=str(named))
    except OSError as error:
        raise Untrusted(f"{named} has no certificates that can be used: {error}") from error


def checked(response: httpx.Response) -> httpx.Response:
    """The response, unless it carries a problem."""
    if not response.is_error:
        return response
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        text = response.text[:200]
        problem = Problem(type="", title=response.reason_phrase, status=response.status_code, code="http", detail=text)
    if response.status_code in (408, 502, 503, 504, 507):
        raise Unreachable(f"{response.url.host}: {problem.detail}")
    raise ApiError(problem)


@contextmanager
def _reachable(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise Unreachable(f"{url} did not answer: {error or type(error).__name__}") from error


def _chunks(stream: Any, length: int) -> Iterator[bytes]:
    while length > 0 and (chunk := stream.read(min(CHUNK_BYTES, length))):
        length -= len(chunk)
        yield chunk
