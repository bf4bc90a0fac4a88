"""A run's page as it goes: parts of it, sent when they change."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from types import SimpleNamespace

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pilot_http.auth import Principal, credential_of, principal_of
from pilot_http.problems import PilotError, Unavailable
from pilot_proto.run import TERMINAL, Progress, RunView
from pydantic import ValidationError
from sse_starlette import EventSourceResponse, ServerSentEvent

from pilot_registry.ui.follow import Told, follow
from pilot_registry.ui.page import SECURITY, part
from pilot_registry.ui.service import FromAggregator
from pilot_registry.ui.upstream import Aggregator
from pilot_registry.ui.views.run_lines import run_line
from pilot_registry.ui.views.run_page import client_line, verbs

router = APIRouter(include_in_schema=False)

EVERY_S = 1.0
"""However much happens, a page changes once a second."""
AGAIN_S = 2.0
HEARTBEAT_S = 15


@router.get("/ui/runs/{run}/live")
async def live(run: str, request: Request, aggregator: FromAggregator) -> EventSourceResponse:
    """`parts`: HTML by the id of the element it replaces. `turn`: the page should be loaded again. `away`: why nothing
    comes."""
    view = await run_in_threadpool(lambda: aggregator.read(request, RunView, f"runs/{run}").document)
    page = LivePage(request, aggregator, run, view)
    return EventSourceResponse(page.stream(), ping=HEARTBEAT_S, headers=SECURITY)


class LivePage:
    """One reader's page of one run."""

    def __init__(self, request: Request, aggregator: Aggregator, run: str, view: RunView) -> None:
        self._request, self._aggregator, self._run, self._view = request, aggregator, run, view
        self._me: Principal = principal_of(request)
        self._began = (view.status.round, view.status.published, view.status.phase in TERMINAL)
        self._sent: dict[str, str] = {}
        self._progress: dict[str, Progress] = {}
        self._changed = False
        self._woken = asyncio.Event()
        self._away = ""
        self._last_id = ""

    async def stream(self) -> AsyncIterator[ServerSentEvent]:
        """Everything as it is, then what changes."""
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                began = time.monotonic()
                for event in await self._look():
                    yield event
                    if event.event == "turn":
                        return
                await self._woken.wait()
                self._woken.clear()
                await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    async def _listen(self) -> None:
        """Note what is told; a line that breaks is taken up again where it broke."""
        url, headers = self._aggregator.url or "", credential_of(self._request).headers
        while True:
            try:
                async for told in follow(url, self._run, headers, self._last_id):
                    self._note(told)
                self._changed = True
            except Unavailable as error:
                self._away = error.detail
            self._woken.set()
            await asyncio.sleep(AGAIN_S)

    def _note(self, told: Told) -> None:
        self._away = ""
        if told.id:
            self._last_id, self._changed = told.id, True
        elif told.kind == "Progress":
            with suppress(ValueError, KeyError, ValidationError):
                document = json.loads(told.data)
                self._progress[document["client"]] = Progress.model_validate(document["progress"])
        self._woken.set()

    async def _look(self) -> list[ServerSentEvent]:
        """What to send now."""
        if self._away:
            return [ServerSentEvent(self._away, event="away")]
        if self._changed:
            self._changed = False
            try:
                answer = await run_in_threadpool(self._aggregator.read, self._request, RunView, f"runs/{self._run}")
            except PilotError as error:
                return [ServerSentEvent(error.detail, event="away")]
            self._view, self._progress = answer.document, {}
        status = self._view.status
        if (status.round, status.published, status.phase in TERMINAL) != self._began:
            return [ServerSentEvent("", event="turn")]
        fresh = {id: html for id, html in self._parts().items() if self._sent.get(id) != html}
        self._sent |= fresh
        return [ServerSentEvent(json.dumps(fresh), event="parts", id=self._last_id or None)] if fresh else []

    def _parts(self) -> dict[str, str]:
        """The page's changing elements, by their ids."""
        status, operator = self._view.status, self._me.at_least("operator")
        page = SimpleNamespace(line=run_line(self._view), run=self._view, verbs=verbs(self._view))
        found = {"run-head": part("run_head.html", "run_head", page, SimpleNamespace(may=self._me.at_least), None)}
        for client in status.clients:
            told = self._progress.get(client.name)
            known = client.model_copy(update={"progress": told}) if told else client
            line = client_line(known, status.phase)
            found[f"client-{client.name}"] = part(
                "client_row.html", "client_row", line, self._run, status.round, operator
            )
        return found
