"""What happens to runs is handed on to where their jobs run."""

import pytest
from pilot_aggregator.rounds.announcements import Announcements
from unit.aggregator.world import NOW, UID, run_record, store_in


@pytest.fixture
def store(tmp_path):
    made = store_in(tmp_path)
    made.create_run(run_record(), None, None)
    return made


def test_what_happens_from_now_on_is_told_once_and_in_order(store):
    told = []
    announcements = Announcements(store, lambda *words: told.append(words))
    store.add_event(UID, NOW, "RoundOpened", 1, "", "stage-1 for 3 clients")
    store.add_event(UID, NOW, "AttemptFailed", 1, "vqa-1", "bad_data: no images")
    announcements.hand_on()
    announcements.hand_on()
    assert told == [
        (UID, "Normal", "RoundOpened", "round 1: stage-1 for 3 clients"),
        (UID, "Warning", "AttemptFailed", "round 1, vqa-1: bad_data: no images"),
    ]


def test_what_every_client_does_as_it_should_is_not_told(store):
    told = []
    announcements = Announcements(store, lambda *words: told.append(words))
    for event in ("AttemptIntended", "AttemptStarted", "AttemptSucceeded"):
        store.add_event(UID, NOW, event, 1, "vqa-1", "")
    announcements.hand_on()
    assert told == []
