"""What happens in a run, as the aggregator tells it: server-sent events, read for one person."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import httpx
from pilot_client.transport import trusted
from pilot_http.app import PREFIX
from pilot_http.problems import Unavailable

SILENCE_S = 45.0
"""The aggregator sends a heartbeat every fifteen seconds."""


@dataclass(frozen=True)
class Told:
    """One event."""

    kind: str
    data: str
    id: str = ""
    """Of those that are stored; from the last one a reader goes on."""


async def follow(url: str, run: str, headers: Mapping[str, str], last_id: str) -> AsyncIterator[Told]:
    """The events after `last_id`, until the run ends.

    Raises:
        Unavailable: the line broke, or the aggregator refused.
    """
    timeout = httpx.Timeout(SILENCE_S, connect=2.0)
    asked = {**headers, "Last-Event-ID": last_id} if last_id else dict(headers)
    try:
        async with (
            httpx.AsyncClient(base_url=url, timeout=timeout, verify=trusted()) as client,
            client.stream("GET", f"{PREFIX}/runs/{run}/events", headers=asked) as response,
        ):
            if response.is_error:
                raise Unavailable(f"the aggregator answers {response.status_code}")
            async for told in events(response.aiter_lines()):
                yield told
    except httpx.TransportError as error:
        raise Unavailable(f"the aggregator does not answer: {error or type(error).__name__}") from error


async def events(lines: AsyncIterator[str]) -> AsyncIterator[Told]:
    """Lines of a stream as events; comments are heartbeats."""
    fields: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            yield Told(fields.get("event", "message"), fields["data"], fields.get("id", ""))
        fields = {}
