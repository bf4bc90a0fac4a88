"""The clients: those of the federation, and those that runs have asked before they left it."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pilot_http import cursors
from pilot_http.problems import Unavailable
from pilot_proto.federation import Client, FederationView
from pydantic import Field

from pilot_registry import clients
from pilot_registry.context import InRegistry
from pilot_registry.paging import Cursor, Limit
from pilot_registry.ui.page import Notice, Page, caller_may, show
from pilot_registry.ui.pages.blank import Blank
from pilot_registry.ui.pages.home import stale_notice
from pilot_registry.ui.service import FromAggregator
from pilot_registry.ui.upstream import Aggregator
from pilot_registry.ui.views.client_lines import ClientLine, client_line, first_names, tasks_of

router = APIRouter(include_in_schema=False)

LIMIT = 50

Members = Mapping[str, Client]


class ClientsPage(Page):
    title: str = "Clients"
    cli: str = "pilot clients ls"
    task: str = ""
    tasks: tuple[str, ...]
    items: tuple[ClientLine, ...]
    next: str | None = None


@router.get("/ui/clients")
def clients_page(
    request: Request,
    registry: InRegistry,
    aggregator: FromAggregator,
    task: Annotated[Annotated[str, Field(max_length=100)] | None, Blank] = None,
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> Response:
    """By name. What runs asked of each is everybody's to see; figures of single clients are for operators."""
    members, notices = members_of(request, aggregator)
    position = cursors.decode(cursor, 1)
    after = str(position[0]) if position else ""
    totals = {each.client: each for each in clients.totals(registry, after, task, limit + 1)}
    names = first_names(members, totals.values(), after, task, limit + 1)
    refused = clients.refused(registry, names[:limit]) if caller_may(request, "operator") else None
    lines = tuple(
        client_line(name, members, totals.get(name), None if refused is None else refused.get(name, 0))
        for name in names[:limit]
    )
    page = ClientsPage(
        task=task or "",
        tasks=tasks_of(members, lines),
        items=lines,
        next=cursors.encode([names[limit - 1]]) if len(names) > limit else None,
        notices=notices,
    )
    return show(request, "clients.html", page)


def members_of(request: Request, aggregator: Aggregator) -> tuple[Members | None, tuple[Notice, ...]]:
    """The federation's clients by name, None where nobody could be asked; and what a reader must know about that."""
    try:
        answer = aggregator.read(request, FederationView, "federation")
    except Unavailable as error:
        text = f"{error.detail.capitalize()}. Whom the federation names now is not known; this is what runs have asked."
        return None, (Notice(tone="warning", text=text),)
    notices = stale_notice(answer.stale, answer.as_of)
    fault = answer.document.status.error
    # It may name folders, which are not for everybody.
    if fault and caller_may(request, "operator"):
        notices += (Notice(tone="warning", text=f"The federation's file as it is now is not in force: {fault}"),)
    return {client.name: client for client in answer.document.spec.clients}, notices
