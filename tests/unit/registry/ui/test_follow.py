"""A stream of server-sent events, line by line."""

import asyncio

import pytest
from pilot_registry.ui.follow import Told, events


def told(text: str) -> list[Told]:
    async def collect():
        async def lines():
            for line in text.split("\n"):
                yield line

        return [event async for event in events(lines())]

    return asyncio.run(collect())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("event: Progress\ndata: {}\n\n", [Told("Progress", "{}")]),
        ("id: 7\nevent: RoundOpened\ndata: x\n\n", [Told("RoundOpened", "x", "7")]),
        (": ping\n\n: ping\n\n", []),
        ("data: one\n\ndata: two\n\n", [Told("message", "one"), Told("message", "two")]),
        ("data:tight\n\n", [Told("message", "tight")]),
        ("event: cut\ndata: never ended", []),
        ("id: 7\n\n", []),
    ],
)
def test_an_event_is_what_stands_between_two_empty_lines(text, wanted):
    assert told(text) == wanted
