"""The verbs of the Kubernetes API that we use, over plain dicts. All contact with the client library is here.

Raw calls, because the library's models refuse fields that they do not know, and a cluster is often newer than they.
"""

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import incluster_config, kube_config

from pilot_aggregator.jobs.kubernetes.listing import Gone
from pilot_aggregator.jobs.kubernetes.templates import Object

CALL_S = 20.0
PAGE = 250
CALLS_PER_S = 100.0
BURST = 200
LOG_LINES = 5000
FAREWELL_S = 0.25
BUSY_S = 1.0
MOST_BUSY_S = 10.0


class Kind(NamedTuple):
    """A kind of object, as paths know it."""

    group: str
    plural: str


JOBS = Kind("/apis/batch/v1", "jobs")
PODS = Kind("/api/v1", "pods")
EVENTS = Kind("/api/v1", "events")
CONFIG_MAPS = Kind("/api/v1", "configmaps")
LEASES = Kind("/apis/coordination.k8s.io/v1", "leases")


class Refused(Exception):
    """The server understood, and said no; the same again would be answered alike."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class NotNow(OSError):
    """The server cannot be reached, or cannot answer now."""


class Cluster:
    """One namespace of a cluster."""

    def __init__(self, configuration: Configuration, namespace: str) -> None:
        """Made inside the event loop that uses it."""
        self._client = ApiClient(configuration)
        self._namespace = namespace
        self._pace = Pace(CALLS_PER_S, BURST)
        self.calls: dict[tuple[str, int], int] = {}
        """How often each method was answered by each status; 0 for no answer."""

    @classmethod
    async def connect(cls, namespace: str, kubeconfig: Path | None = None) -> "Cluster":
        """With the pod's own ServiceAccount, or with a kubeconfig where one is named.

        Raises:
            OSError: there is neither, or it cannot be used.
        """
        configuration = Configuration()
        try:
            if kubeconfig is not None:
                await kube_config.load_kube_config(  # type: ignore[no-untyped-call]
                    str(kubeconfig), client_configuration=configuration
                )
            else:
                incluster_config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        except Exception as error:
            where = f"kubeconfig {kubeconfig}" if kubeconfig else "this pod's ServiceAccount"
            raise OSError(f"{where} leads to no cluster: {error}") from error
        return cls(configuration, namespace)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]
        # TLS takes leave in its own time, which the session does not wait for.
        await asyncio.sleep(FAREWELL_S)

    async def read_all(
        self, kind: Kind, query: Mapping[str, str], keep: Callable[[Object], Object | None] = lambda thing: thing
    ) -> tuple[list[Object], str]:
        """All objects that match, in pages, and the version of the list; of each what `keep` leaves, if anything.

        Raises:
            Gone: the list changed too much while its pages were read.
        """
        found: list[Object] = []
        more: dict[str, str] = {"limit": str(PAGE)}
        while True:
            page = await self._json("GET", self._path(kind), {**query, **more})
            # Page by page: what is not kept is many times what is.
            found += filter(None, map(keep, page["items"]))
            metadata = page["metadata"]
            if not metadata.get("continue"):
                return found, metadata["resourceVersion"]
            more["continue"] = metadata["continue"]

    async def watch(
        self, kind: Kind, query: Mapping[str, str], version: str, timeout_s: float
    ) -> AsyncIterator[Object]:
        """Events since a version, until the server ends the stream. The first says no more than that it is open."""
        asked = {
            **query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, int(timeout_s))),
        }
        limit = aiohttp.ClientTimeout(total=timeout_s + CALL_S, connect=CALL_S)
        async with self._answer("GET", self._path(kind), asked, None, limit) as answer:
            yield {"type": "BOOKMARK"}
            async for line in answer.content:
                if line.strip():
                    yield json.loads(line)

    async def get(self, kind: Kind, name: str) -> Object | None:
        """The object, or None if there is none."""
        try:
            return await self._json("GET", self._path(kind, name))
        except Refused as error:
            if error.status == 404:
                return None
            raise

    async def create(self, kind: Kind, thing: Object, *, dry_run: bool = False) -> Object:
        """Make an object, or find out whether it could be made."""
        return await self._json("POST", self._path(kind), {"dryRun": "All"} if dry_run else {}, thing)

    async def replace(self, kind: Kind, name: str, thing: Object) -> Object:
        """Write an object; refused with 409 if somebody wrote it since it was read."""
        return await self._json("PUT", self._path(kind, name), {}, thing)

    async def patch(self, kind: Kind, name: str, change: Object) -> Object:
        """Merge a change into an object."""
        return await self._json("PATCH", self._path(kind, name), {}, change)

    async def delete(self, kind: Kind, name: str, uid: str, propagation: str) -> None:
        """Delete this very object, if it is still there; another of its name is left alone."""
        options = {"propagationPolicy": propagation, "preconditions": {"uid": uid}}
        try:
            await self._json("DELETE", self._path(kind, name), {}, options)
        except Refused as error:
            if error.status not in (404, 409):
                raise

    async def log(self, pod: str, container: str) -> str:
        """The end of what a container printed."""
        query = {"container": container, "tailLines": str(LOG_LINES)}
        async with self._answer("GET", f"{self._path(PODS, pod)}/log", query, None, _limit()) as answer:
            text: str = await answer.text(errors="replace")
            return text

    def _path(self, kind: Kind, name: str = "") -> str:
        path = f"{kind.group}/namespaces/{self._namespace}/{kind.plural}"
        return f"{path}/{name}" if name else path

    async def _json(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Object | None = None
    ) -> Object:
        async with self._answer(method, path, query or {}, body, _limit()) as answer:
            found: Object = json.loads(await answer.read())
            return found

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, query: Mapping[str, str], body: Object | None, limit: aiohttp.ClientTimeout
    ) -> AsyncIterator[Any]:
        """The response to one call, which the server has agreed to.

        Raises:
            Gone, Refused, NotNow
        """
        await self._pace.turn()
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Content-Type": kind, "Accept": "application/json"}
        status = 0
        try:
            # The token is read again here, when it is due.
            request = await self._client.param_serialize(
                method, path, None, list(query.items()), headers, body, auth_settings=["BearerToken"]
            )
            response = (await self._client.call_api(*request, _request_timeout=limit)).response
            async with response:
                status = response.status
                if status >= 400:
                    raise self._no(status, await response.read(), response.headers.get("Retry-After"))
                yield response
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError, json.JSONDecodeError) as error:
            raise NotNow(f"{method} {path}: {error or type(error).__name__}") from error
        finally:
            self.calls[method, status] = self.calls.get((method, status), 0) + 1

    def _no(self, status: int, raw: bytes, retry_after: str | None) -> Exception:
        try:
            told = json.loads(raw)
        except ValueError:
            told = {}
        message = told.get("message") or raw.decode(errors="replace")[:500] or f"status {status}"
        if status == 410:
            return Gone(message)
        if status == 429:
            wait = float(retry_after) if retry_after and retry_after.isdecimal() else BUSY_S
            self._pace.rest(min(wait, MOST_BUSY_S))
        if status in (401, 408, 429) or status >= 500:
            # A token that has just expired is read again in a minute.
            return NotNow(f"the Kubernetes API answered {status}: {message}")
        return Refused(status, told.get("reason") or "Refused", message)


class Pace:
    """So many calls a second, a few more at once, and none while the server asks for rest."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s, self._burst = per_s, burst
        self._left, self._at, self._resting_until = float(burst), 0.0, 0.0

    async def turn(self) -> None:
        """Wait until a call is due."""
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
            self._at = now
            wait = max(self._resting_until - now, (1 - self._left) / self._per_s)
            if wait <= 0:
                self._left -= 1
                return
            await asyncio.sleep(wait * random.uniform(1.0, 1.2))

    def rest(self, seconds: float) -> None:
        """No calls for a while."""
        self._resting_until = asyncio.get_running_loop().time() + seconds


def _limit() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=CALL_S)
