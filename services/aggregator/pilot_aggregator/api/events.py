"""What happens in a run, as it happens: server-sent events that resume where a reader left off."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Request
from pilot_http.app import PREFIX
from pilot_proto.base import as_json
from pilot_proto.run import TERMINAL
from sse_starlette import EventSourceResponse, ServerSentEvent

from pilot_aggregator.rounds.reconcile import heard
from pilot_aggregator.service import Aggregator, Service

router = APIRouter(prefix=PREFIX, tags=["runs"])

POLL_S = 0.25
HEARTBEAT_S = 15
STREAM = {"content": {"text/event-stream": {"schema": {"type": "string"}}}}


@router.get("/runs/{run}/events", response_class=EventSourceResponse, responses={200: STREAM})
async def stream_events(
    run: str,
    request: Request,
    service: Aggregator,
    last_event_id: Annotated[int, Header(ge=0)] = 0,
) -> EventSourceResponse:
    """What happens, as server-sent events; `Last-Event-ID` resumes. `Progress` events carry no id."""
    uid = service.run(run).uid
    return EventSourceResponse(_events(service, run, uid, last_event_id), ping=HEARTBEAT_S)


async def _events(service: Service, name: str, uid: str, last: int) -> AsyncIterator[ServerSentEvent]:
    """Stored events carry an id to resume from; progress does not, since it is replaced by the next."""
    told: dict[str, str] = {}
    while True:
        record = await asyncio.to_thread(service.run, name)
        stored = await asyncio.to_thread(service.store.events_after, uid, last)
        for event in stored:
            last = event.id
            body = {
                "at": event.at.isoformat(),
                "round": event.round,
                "client": event.client,
                "message": event.message,
            }
            yield ServerSentEvent(json.dumps(body), event=event.type, id=str(event.id))
        for client, (progress, _) in sorted(heard(service.board, uid, record.round).items()):
            text = json.dumps({"round": record.round, "client": client, "progress": as_json(progress)})
            if told.get(client) != text:
                told[client] = text
                yield ServerSentEvent(text, event="Progress")
        if record.phase in TERMINAL and not stored:
            return
        await asyncio.sleep(POLL_S)
