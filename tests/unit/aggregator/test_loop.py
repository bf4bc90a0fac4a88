"""When runs have their turn."""

import threading
from itertools import count
from types import SimpleNamespace

import pytest
from pilot_aggregator.rounds.background import Background
from pilot_aggregator.rounds.loop import Bell, Loop

LONG_S = 60.0


def test_a_ring_is_heard_until_it_is_cleared():
    bell = Bell()
    assert not bell.wait(0)
    bell.ring()
    assert bell.wait(0)
    bell.clear()
    assert not bell.wait(0)


def test_only_a_hurry_ends_a_rest():
    bell = Bell()
    bell.ring()
    assert not bell.wait_hurry(0)
    bell.hurry()
    assert bell.wait_hurry(0)
    bell.clear()
    assert not bell.wait_hurry(0)
    assert not bell.wait(0)


@pytest.mark.parametrize("awaited", [True, False])
def test_work_that_somebody_waits_for_hurries_and_other_work_rings(awaited):
    bell, rung = Bell(), threading.Event()

    def ring():
        bell.ring()
        rung.set()

    def hurry():
        bell.hurry()
        rung.set()

    background = Background(ring, hurry)
    begin = background.ensure if awaited else background.start
    begin(("uid", 1, "step"), lambda: None)
    assert rung.wait(LONG_S)
    assert bell.wait_hurry(0) == awaited
    assert bell.wait(0)
    background.close()


class OneRun:
    """A store with a run at work."""

    def active_runs(self):
        return ["t"]


class Turns:
    """A reconciler that does nothing, and counts its turns."""

    def __init__(self):
        self.taken = threading.Semaphore(0)

    @property
    def clock(self):
        return self

    def now(self):
        return None

    def tick(self, name):
        self.taken.release()
        return False


def test_the_loop_turns_again_when_what_was_awaited_has_ended(monkeypatch):
    # Every look takes as long as a rest may: only a hurry ends it.
    clock = SimpleNamespace(monotonic=count(step=LONG_S).__next__)
    monkeypatch.setattr("pilot_aggregator.rounds.loop.time", clock)
    bell, turns = Bell(), Turns()
    loop = Loop(OneRun(), turns, LONG_S, bell)
    loop.start()
    try:
        for _ in range(3):
            assert turns.taken.acquire(timeout=LONG_S / 2)
            bell.hurry()
        assert turns.taken.acquire(timeout=LONG_S / 2)
    finally:
        loop.stop()
