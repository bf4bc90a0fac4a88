"""System: versions, health and sizes, what is under way, and what an admin may start."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pilot_http.app import Version
from pilot_http.auth import Caller
from pilot_http.problems import PilotError
from sqlalchemy import select

from pilot_registry import overview
from pilot_registry.context import InRegistry, Registry
from pilot_registry.housekeeping import Chore, Kind
from pilot_registry.overview import Storage
from pilot_registry.tables import Namespace
from pilot_registry.ui.health import Part
from pilot_registry.ui.page import Crumb, Notice, Page, caller_may, show
from pilot_registry.ui.pages.run import back_to
from pilot_registry.ui.service import FromAggregator, InHealth, InHousekeeping
from pilot_registry.ui.upstream import Aggregator
from pilot_registry.ui.views import system_page
from pilot_registry.ui.views.system_page import OpenApi, Route, Setting, UnderWay

router = APIRouter(include_in_schema=False)

SYSTEM = Crumb(text="System", url="/ui/system")
BEGUN: dict[Kind, str] = {
    "gc-dry-run": "Counting what nothing refers to has begun.",
    "gc": "The garbage collection has begun.",
    "check": "The check has begun.",
    "check-deep": "The deep check has begun; it reads every file that is needed.",
    "reindex": "Rebuilding the index has begun.",
}


class SystemPage(Page):
    title: str = "System"
    cli: str = "pilot doctor"
    versions: tuple[Version, ...]
    """Of the services that answered."""
    health: tuple[Part, ...]
    database: str
    store: str
    auth_mode: str
    proxy: bool
    """Whether a proxy may sign people in."""
    storage: Storage
    orphans: int | None = None
    """Files that nothing names, as the last check counted them."""
    uploads: tuple[UnderWay, ...] | None = None
    settings: tuple[Setting, ...] | None = None
    """Both for operators."""
    chores: tuple[Chore, ...] | None = None
    """For admins; the newest first."""
    busy: bool = False
    grace_s: int


class ApiPage(Page):
    title: str = "API"
    registry: tuple[Route, ...]
    aggregator: tuple[Route, ...] | None = None
    """None: it is away, and has never been asked."""


@router.get("/ui/system")
def system(
    request: Request,
    registry: InRegistry,
    aggregator: FromAggregator,
    health: InHealth,
    housekeeping: InHousekeeping,
) -> Response:
    """What this deployment is and does."""
    settings, operator, admin = registry.settings, caller_may(request, "operator"), caller_may(request, "admin")
    chores = housekeeping.seen()
    checks = [chore.check for chore in chores if chore.check]
    page = SystemPage(
        versions=_versions(request, aggregator),
        health=health.parts(request),
        database=_database(registry),
        store=f"bucket {settings.s3_bucket}" if settings.store == "s3" else "folder",
        auth_mode=settings.auth_mode,
        proxy=settings.auth_proxy is not None,
        storage=overview.storage(registry),
        orphans=checks[0].orphans if checks else None,
        uploads=_uploads(registry) if operator else None,
        settings=system_page.settings_of(settings) if operator else None,
        chores=chores if admin else None,
        busy=any(chore.ended_at is None for chore in chores),
        grace_s=settings.gc_grace_s,
    )
    return show(request, "system.html", page)


@router.post("/ui/system/{chore}")
def begin(chore: Annotated[Kind, Path()], caller: Caller, housekeeping: InHousekeeping) -> Response:
    """Start something that can take minutes; the page shows what comes of it."""
    housekeeping.begin(chore, str(caller))
    return back_to(SYSTEM.url, BEGUN[chore])


@router.get("/ui/system/api")
def api(request: Request, aggregator: FromAggregator) -> Response:
    """Every operation of both services, from their OpenAPI documents."""
    own = OpenApi.model_validate(request.app.openapi())
    notices: tuple[Notice, ...] = ()
    theirs = None
    try:
        theirs = system_page.routes_of(aggregator.read(request, OpenApi, "openapi.json").document)
    except PilotError as error:
        notices = (Notice(tone="warning", text=f"The aggregator's operations cannot be shown: {error.detail}."),)
    page = ApiPage(crumbs=(SYSTEM,), notices=notices, registry=system_page.routes_of(own), aggregator=theirs)
    return show(request, "api.html", page)


def _versions(request: Request, aggregator: Aggregator) -> tuple[Version, ...]:
    own = Version(service="registry", version=request.app.version)
    try:
        answer = aggregator.read(request, Version, "version")
    except PilotError:
        return (own,)
    return (own,) if answer.stale else (own, answer.document)


def _database(registry: Registry) -> str:
    with registry.database.engine.connect() as connection:
        numbers = connection.dialect.server_version_info or ()
        return f"{connection.dialect.name} {'.'.join(str(number) for number in numbers)}".strip()


def _uploads(registry: Registry) -> tuple[UnderWay, ...]:
    found = registry.sessions.under_way()
    uids = {record.uid for record, _ in found}
    with registry.database.reading() as session:
        rows = session.scalars(select(Namespace).where(Namespace.uid.in_(uids)))
        runs = {row.uid: row.run for row in rows}
    return system_page.under_way(found, runs)
