"""Recomputations that run beside the pages."""

import threading
from datetime import UTC, datetime

from pilot_http.problems import Unavailable
from pilot_proto.plan import VerifyReport
from pilot_registry.ui.verifications import KEPT, Verifications

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REPORT = VerifyReport(run="t", round=1, verdict="identical")


def made():
    return Verifications(lambda: NOW)


def ended(verifications, round_=("t", 1)):
    """What became of it, once all is done."""
    verifications._pool.shutdown(wait=True)
    return verifications.find(round_)


def test_while_it_runs_it_is_shown_so_and_not_begun_again():
    verifications, go = made(), threading.Event()

    def work():
        assert go.wait(10)
        return REPORT

    assert verifications.begin(("t", 1), "operator", work)
    assert verifications.find(("t", 1)).running
    assert not verifications.begin(("t", 1), "admin", work)
    assert verifications.begin(("t", 2), "admin", work)
    go.set()
    found = ended(verifications)
    assert (found.by, found.running, found.report) == ("operator", False, REPORT)


def test_what_hinders_it_is_kept_in_words():
    verifications = made()
    verifications.begin(("t", 1), "operator", lambda: (_ for _ in ()).throw(Unavailable("it is away", hint="wait")))
    found = ended(verifications)
    assert (found.running, found.report, found.error) == (False, None, "it is away. wait")


def test_a_fault_of_ours_ends_it_too():
    verifications = made()
    verifications.begin(("t", 1), "operator", lambda: 1 // 0)
    assert "the log of the registry" in ended(verifications).error


def test_only_the_last_ones_are_kept():
    verifications = made()
    for number in range(KEPT + 5):
        verifications.begin(("t", number), "operator", lambda: REPORT)
    assert ended(verifications, ("t", 0)) is None
    assert verifications.find(("t", KEPT + 4)) is not None
