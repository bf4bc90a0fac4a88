"""What every service's application has: identity of a request, host check, health, metrics."""

import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from fastapi import Depends, FastAPI, Request, Response
from pilot_proto.base import Stored
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from starlette.middleware.trustedhost import TrustedHostMiddleware

from pilot_http import problems
from pilot_http.auth import Access, Authenticator, PolicyTable, guard
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
        dependencies=[Depends(guard(authenticate, policy))],
        generate_unique_id_function=operation_id,
        separate_input_output_schemas=False,
    )
    app.state.policy = policy
    problems.install(app)
    app.middleware("http")(_observe(service, metrics))
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


def _observe(
    service: str, metrics: CollectorRegistry
) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    seconds = Histogram(
        f"pilot_{service}_request_seconds", "Time to answer, by route", ["method", "route", "status"], registry=metrics
    )

    async def observe(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        identity = request.headers.get("x-request-id", "")[:64] or uuid.uuid4().hex
        started = time.perf_counter()
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "unmatched")
        seconds.labels(request.method, route, response.status_code).observe(time.perf_counter() - started)
        response.headers["X-Request-Id"] = identity
        if response.status_code >= 500:
            log.error("request %s: %s %s -> %s", identity, request.method, request.url.path, response.status_code)
        return response

    return observe
