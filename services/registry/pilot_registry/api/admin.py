"""The routes of those who operate the registry."""

from typing import Annotated

from fastapi import APIRouter, Query
from pilot_http.app import PREFIX
from pilot_proto.registry import AuditPage, CheckReport, GcReport, ReindexReport, RejectionPage

from pilot_registry import audit, garbage, integrity, rejections
from pilot_registry.context import InRegistry
from pilot_registry.paging import DEFAULT_LIMIT, Cursor, Limit
from pilot_registry.strictly import MAX_BODY_BYTES

router = APIRouter(prefix=PREFIX, max_body_size=MAX_BODY_BYTES, tags=["administration"])

Words = Annotated[str | None, Query(max_length=200)]
Filter = Annotated[str | None, Query(max_length=100)]


@router.get("/audit")
def get_audit(
    registry: InRegistry,
    action: Words = None,
    by: Words = None,
    object_: Annotated[str | None, Query(alias="object", max_length=200)] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> AuditPage:
    """Who did what, newest first; `object` is a run, `RUN/ROUND` or a repository, with all that is below it."""
    return audit.page(registry, audit.Wanted(action, by, object_), limit, cursor)


@router.get("/rejections")
def get_rejections(
    registry: InRegistry,
    run: Filter = None,
    round_: Annotated[int | None, Query(alias="round", ge=0, le=1_000_000)] = None,
    client: Filter = None,
    code: Filter = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> RejectionPage:
    """What admission refused, newest first."""
    return rejections.page(registry, rejections.Wanted(run, round_, client, code), limit, cursor)


@router.post("/admin/gc")
def collect_garbage(
    registry: InRegistry, dry_run: bool = True, older_than_s: Annotated[int, Query(ge=0, le=1 << 31)] = 86400
) -> GcReport:
    """Delete blobs that nothing refers to; a dry run only counts them."""
    return garbage.collect(registry, older_than_s, dry_run=dry_run)


@router.post("/admin/reindex")
def reindex(registry: InRegistry) -> ReindexReport:
    """Rebuild the index from the store's journal."""
    records, versions = registry.journal.rebuild()
    return ReindexReport(records=records, versions=versions)


@router.get("/admin/check")
def check_integrity(registry: InRegistry, deep: bool = False) -> CheckReport:
    """Compare store, index and journal; `deep` hashes every blob that is needed, which reads them all."""
    return integrity.check(registry, deep=deep)
