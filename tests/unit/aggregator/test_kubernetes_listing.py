"""List, then watch: what is done when a stream ends, breaks, forgets or lies."""

import asyncio

import pytest
from pilot_aggregator.jobs.kubernetes.listing import BROKEN_WATCHES, Gone, Listing


class Script:
    """A source that plays one act per request; after the last it ends the test."""

    def __init__(self, *watches, lists=()):
        self.watches, self.answers = [*watches], [*lists]
        self.asked = []

    async def read_all(self):
        self.asked.append("list")
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, BaseException):
            raise answer
        return answer, "10"

    async def watch(self, version, timeout_s):
        self.asked.append(version)
        if not self.watches:
            raise asyncio.CancelledError
        for act in self.watches.pop(0):
            if isinstance(act, Exception):
                raise act
            yield act


class Sink:
    def __init__(self):
        self.told = []
        self.silent = False

    def replace(self, objects):
        self.told.append([thing["metadata"]["name"] for thing in objects])

    def change(self, kind, thing):
        if "broken" in thing["metadata"]["name"]:
            raise KeyError("spec")
        self.told.append((kind, thing["metadata"]["name"]))

    def heard(self):
        self.silent = False

    def lost(self, why):
        self.silent = True
        self.told.append(f"lost: {why}")


class Pauses:
    def __init__(self):
        self.taken = []

    async def __call__(self, seconds):
        self.taken.append(seconds)


def event(kind, name, version):
    return {"type": kind, "object": {"metadata": {"name": name, "resourceVersion": version}}}


def error(code):
    return {"type": "ERROR", "object": {"code": code, "message": f"error {code}"}}


BOOKMARK = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "77"}}}


def play(*watches, lists=()):
    script, sink, pauses = Script(*watches, lists=lists), Sink(), Pauses()
    listing = Listing(script, sink, sleep=pauses)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(listing.run())
    return script.asked, sink, pauses.taken


def test_a_watch_begins_where_the_list_was_and_tells_what_changes():
    asked, sink, _ = play([event("ADDED", "a", "11"), event("DELETED", "a", "12")])
    assert asked == ["list", "10", "12"]
    assert sink.told == [[], ("ADDED", "a"), ("DELETED", "a")]


def test_a_watch_that_ends_goes_on_where_it_was_without_a_list():
    asked, _, pauses = play([event("ADDED", "a", "11")], [], [event("MODIFIED", "a", "15")])
    assert asked == ["list", "10", "11", "11", "15"]
    assert pauses == []


def test_a_bookmark_moves_the_version_and_is_nobodys_news():
    asked, sink, _ = play([BOOKMARK])
    assert asked == ["list", "10", "77"]
    assert sink.told == [[]]


@pytest.mark.parametrize("forgotten", [error(410), Gone()], ids=["as an event", "as a status"])
def test_a_version_that_is_forgotten_is_answered_by_a_list(forgotten):
    asked, sink, pauses = play([event("ADDED", "a", "11"), forgotten], lists=[[], [event("", "b", "")["object"]]])
    assert asked == ["list", "10", "list", "10"]
    assert sink.told == [[], ("ADDED", "a"), ["b"]]
    assert len(pauses) == 1


def test_a_watch_that_breaks_goes_on_after_a_pause():
    asked, sink, pauses = play([event("ADDED", "a", "11"), OSError("reset")], [event("ADDED", "b", "12")])
    assert asked == ["list", "10", "11", "12"]
    assert "lost: reset" in sink.told
    assert not sink.silent
    assert len(pauses) == 1


def test_another_error_event_is_a_watch_that_broke():
    asked, sink, _ = play([error(500)])
    assert asked == ["list", "10", "10"]
    assert "lost: the watch ended: error 500" in sink.told


def test_watches_that_break_one_after_the_other_are_answered_by_a_list_and_longer_pauses():
    broken = [[OSError("reset")] for _ in range(BROKEN_WATCHES)]
    asked, _, pauses = play(*broken)
    assert asked == ["list", *["10"] * BROKEN_WATCHES, "list", "10"]
    assert pauses == sorted(pauses)


def test_a_list_that_fails_is_tried_again_and_the_pauses_have_a_limit():
    failures = [OSError(f"away {n}") for n in range(12)]
    asked, sink, pauses = play(lists=failures)
    assert asked == ["list"] * 13 + ["10"]
    assert sink.told[:2] == ["lost: away 0", "lost: away 1"]
    assert max(pauses) <= 30.0


def test_one_object_that_cannot_be_read_stops_nothing():
    asked, sink, _ = play([event("ADDED", "broken", "11"), event("ADDED", "b", "12")])
    assert asked == ["list", "10", "12"]
    assert sink.told == [[], ("ADDED", "b")]


def test_after_a_while_everything_is_listed_again():
    script, sink = Script(lists=[[], [], asyncio.CancelledError()]), Sink()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(Listing(script, sink, 0.0, Pauses()).run())
    assert script.asked == ["list", "list", "list"]
