"""What every service's application has: identity of a request, host check, health, metrics."""

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from importlib.metadata import version

from fastapi import Depends, FastAPI, Response
from pilot_proto.base import Stored
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pilot_http import problems
from pilot_http.auth import Access, Authenticator, Door, PolicyTable, guard
from pilot_http.openapi import Application, operation_id

log = logging.getLogger(__name__)

PREFIX = "/api/v1alpha1"

PUBLIC: frozenset[Access] = frozenset({"public"})
HEALTH_POLICY: PolicyTable = {
    ("GET", "/livez"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    ("GET", f"{PREFIX}/version"): PUBLIC,
}


class Version(Stored):
    service: str
    version: str
    api: str = "pilot/v1alpha1"


def build(
    *,
    service: str,
    title: str,
    authenticate: Authenticator,
    doors: Sequence[Door] = (),
    policy: PolicyTable,
    metrics: CollectorRegistry,
    ready: Callable[[], None],
    hosts: list[str],
) -> FastAPI:
    """An application with the common routes; every route on it is guarded by `policy`.

    `ready` raises an exception that says what is missing.
    """
    policy = {**HEALTH_POLICY, **policy}
    app = Application(
        title=title,
        version=version(f"pilot-{service}"),
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(guard(authenticate, policy, doors))],
        generate_unique_id_function=operation_id,
        separate_input_output_schemas=False,
    )
    app.state.policy = policy
    problems.install(app)
    app.add_middleware(Observed, service=service, metrics=metrics)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    _common_routes(app, service, metrics, ready)
    return app


def _common_routes(app: FastAPI, service: str, metrics: CollectorRegistry, ready: Callable[[], None]) -> None:
    @app.get("/livez", include_in_schema=False)
    def livez() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/readyz", include_in_schema=False)
    def readyz() -> dict[str, str]:
        try:
            ready()
        except Exception as error:
            raise problems.Unavailable(f"not ready: {error}") from error
        return {"status": "ready"}

    @app.get("/metrics", include_in_schema=False)
    def prometheus() -> Response:
        return Response(generate_latest(metrics), media_type=CONTENT_TYPE_LATEST)

    @app.get(f"{PREFIX}/version", tags=["service"])
    def get_service_version() -> Version:
        """Which service this is, and which API it speaks."""
        return Version(service=service, version=app.version)


class Observed:
    """Names and times every request. Plain ASGI: Starlette's wrapper would make a task of every piece of a body."""

    def __init__(self, app: ASGIApp, service: str, metrics: CollectorRegistry) -> None:
        self._app = app
        self._seconds = Histogram(
            f"pilot_{service}_request_seconds",
            "Time to answer, by route",
            ["method", "route", "status"],
            registry=metrics,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = Headers(scope=scope).get("x-request-id", "")[:64] or uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = identity
        started = time.perf_counter()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = identity
                self._note(scope, identity, message["status"], time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, answer)

    def _note(self, scope: Scope, identity: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        self._seconds.labels(scope["method"], route, status).observe(seconds)
        if status >= 500:
            log.error("request %s: %s %s -> %s", identity, scope["method"], scope["path"], status)
