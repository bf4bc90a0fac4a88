"""The audit: who did what, to what, when."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pilot_reports.tidy import Line
from pydantic import Field

from pilot_registry import audit
from pilot_registry.audit import ACTIONS, Wanted
from pilot_registry.context import InRegistry, Registry
from pilot_registry.paging import DEFAULT_LIMIT, Cursor, Limit
from pilot_registry.ui.downloads import csv_file
from pilot_registry.ui.page import Page, show
from pilot_registry.ui.pages.blank import Blank
from pilot_registry.ui.views.audit_lines import AuditLine, audit_line

router = APIRouter(include_in_schema=False)

COLUMNS = ("sequence", "at", "by", "action", "object", "detail")

Text = Annotated[Annotated[str, Field(max_length=200)] | None, Blank]


class AuditLogPage(Page):
    title: str = "Audit"
    action: str = ""
    by: str = ""
    object: str = ""
    actions: tuple[str, ...] = ACTIONS
    """What can be asked for."""
    items: tuple[AuditLine, ...]
    next: str | None = None


def _wanted(action: Text = None, by: Text = None, object_: Annotated[Text, Query(alias="object")] = None) -> Wanted:
    return Wanted(action, by, object_)


AsWanted = Annotated[Wanted, Depends(_wanted)]


@router.get("/ui/audit")
def audit_page(
    request: Request, registry: InRegistry, wanted: AsWanted, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Response:
    """Newest first."""
    found = audit.page(registry, wanted, limit, cursor)
    page = AuditLogPage(
        action=wanted.action or "",
        by=wanted.by or "",
        object=wanted.object or "",
        items=tuple(audit_line(entry) for entry in found.items),
        next=found.next,
    )
    return show(request, "audit.html", page)


@router.get("/ui/audit.csv")
def audit_csv(registry: InRegistry, wanted: AsWanted) -> Response:
    """Everything that the page lists, on all its pages."""
    return csv_file("audit.csv", COLUMNS, _lines(registry, wanted))


def _lines(registry: Registry, wanted: Wanted) -> Iterator[Line]:
    for entry in audit.everything(registry, wanted):
        yield entry.sequence, entry.at, entry.by, entry.action, entry.object, entry.detail
