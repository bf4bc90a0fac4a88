"""Who leads: the Lease against an API server over HTTP, and the fence in the store that a stale leader runs into."""

import threading
import time

import pytest
from fakes.kube_api import NAMESPACE, Fault, KubeApi
from pilot_aggregator.jobs.kubernetes.api import Cluster
from pilot_aggregator.jobs.kubernetes.labels import LEADS
from pilot_aggregator.jobs.kubernetes.lease import Lease, Sighting, claim
from pilot_aggregator.jobs.kubernetes.signpost import identity
from pilot_aggregator.store.sql import StaleLeader
from pilot_aggregator.store.store import Store
from pilot_disk.database import connect
from unit.aggregator.world import NOW, UID, run_record, store_in

LIMIT_S = 20
NAME = "pilot-aggregator"


def spec(holder="b", transitions=3, duration=15):
    return {"holderIdentity": holder, "leaseTransitions": transitions, "leaseDurationSeconds": duration}


CLAIMS = {
    "nobody's": ({}, None, 0.0, 1),
    "given back": (spec(""), None, 0.0, 4),
    "another's, seen for the first time": (spec(), None, 100.0, None),
    "another's, alive": (spec(), Sighting("b", "t", 90.0), 100.0, None),
    "another's, silent for too long": (spec(), Sighting("b", "t", 80.0), 100.0, 4),
    "our own": (spec("a"), None, 100.0, 3),
}


@pytest.mark.parametrize(("known", "seen", "now", "transitions"), CLAIMS.values(), ids=CLAIMS)
def test_whether_a_lease_can_be_had(known, seen, now, transitions):
    claimed = claim(known, seen, "a", now, floor=0)
    assert (claimed and claimed["leaseTransitions"]) == transitions
    assert claimed is None or claimed["holderIdentity"] == "a"


def test_a_term_is_higher_than_any_that_the_store_has_seen_even_if_the_lease_was_deleted():
    assert claim({}, None, "a", 0.0, floor=9)["leaseTransitions"] == 10


@pytest.fixture
def api():
    made = KubeApi()
    yield made
    made.close()


class Candidate:
    """One replica's lease, and what it was told."""

    def __init__(self, api, folder, identity, store=None):
        self.led, self.lost = threading.Event(), threading.Event()
        self.store = store
        floor = store.fence if store else (lambda: 0)
        self.lease = Lease(
            lambda: Cluster.connect(NAMESPACE, api.kubeconfig(folder)), NAME, identity, floor, retry_s=0.02
        )

    def start(self):
        self.lease.start(self._lead, self.lost.set)
        return self

    def _lead(self, fence):
        if self.store:
            self.store.take_over(fence)
        self.led.set()


@pytest.fixture
def candidate(api, tmp_path):
    made = []

    def make(identity, store=None):
        made.append(Candidate(api, tmp_path, identity, store).start())
        return made[-1]

    yield make
    for each in made:
        each.lease.stop()


def held(api):
    return api.objects["leases"][NAME]["spec"]


def eventually(look):
    deadline = time.monotonic() + LIMIT_S
    while not (found := look()):
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.005)
    return found


def test_the_first_leads_and_the_second_stands_by_until_the_first_leaves(api, candidate):
    first = candidate("a")
    assert first.led.wait(LIMIT_S)
    second = candidate("b")
    eventually(lambda: api.asked("GET", "leases") > 10)
    assert not second.led.is_set()
    first.lease.stop()
    assert second.led.wait(LIMIT_S)
    assert (held(api)["holderIdentity"], held(api)["leaseTransitions"]) == ("b", 2)
    assert not first.lost.is_set()


def test_a_leader_renews_and_a_hiccup_changes_nothing(api, candidate):
    first = candidate("a")
    assert first.led.wait(LIMIT_S)
    renewed = held(api)["renewTime"]
    api.faults += [Fault("GET", "leases", 500), Fault("PUT", "leases"), Fault("PUT", "leases", 409)]
    eventually(lambda: not api.faults and held(api)["renewTime"] > renewed)
    assert not first.lost.is_set()


def test_whoever_finds_the_lease_in_other_hands_leads_no_more(api, candidate):
    first = candidate("a")
    assert first.led.wait(LIMIT_S)
    api.change("leases", NAME, spec={**held(api), "holderIdentity": "b", "leaseTransitions": 2})
    assert first.lost.wait(LIMIT_S)
    assert first.lease.fence is None


def test_whoever_cannot_renew_for_too_long_leads_no_more(api, candidate, monkeypatch):
    monkeypatch.setattr("pilot_aggregator.jobs.kubernetes.lease.RENEW_WITHIN_S", 0.3)
    first = candidate("a")
    assert first.led.wait(LIMIT_S)
    api.faults += [Fault("GET", "leases", 503) for _ in range(500)]
    assert first.lost.wait(LIMIT_S)
    api.faults.clear()


def test_a_lease_that_nobody_renews_is_taken_over(api, candidate):
    api.put("leases", {"metadata": {"name": NAME}, "spec": spec("dead", duration=0)})
    assert candidate("a").led.wait(LIMIT_S)
    assert held(api)["leaseTransitions"] == 4


def test_a_lease_that_the_chart_made_empty_is_taken(api, candidate):
    api.put("leases", {"metadata": {"name": NAME}})
    assert candidate("a").led.wait(LIMIT_S)


def pod(api, name, **labels):
    api.put("pods", {"metadata": {"name": name, "labels": {"component": "aggregator", **labels}}})


def led_to(api):
    return {name for name, thing in api.objects["pods"].items() if thing["metadata"]["labels"].get(LEADS) == "true"}


def test_the_service_leads_to_the_pod_of_the_leader_and_to_no_other(api, candidate):
    for name in ("a", "b"):
        pod(api, name)
    first = candidate(identity("a"))
    eventually(lambda: led_to(api) == {"a"})
    second = candidate(identity("b"))
    first.lease.stop()
    assert second.led.wait(LIMIT_S)
    eventually(lambda: "b" in led_to(api))


def test_who_takes_over_leads_the_service_away_from_a_leader_that_is_silent(api, candidate):
    pod(api, "dead", **{LEADS: "true"})
    pod(api, "a")
    api.put("leases", {"metadata": {"name": NAME}, "spec": spec(identity("dead"), duration=0)})
    candidate(identity("a"))
    eventually(lambda: led_to(api) == {"a"})
    assert api.objects["pods"]["dead"]["metadata"]["labels"] == {"component": "aggregator"}


def test_a_process_that_was_started_again_where_a_leader_was_has_yet_to_lead(api, candidate):
    pod(api, "a", **{LEADS: "true"})
    api.put("leases", {"metadata": {"name": NAME}, "spec": spec(identity("b"))})
    candidate(identity("a"))
    eventually(lambda: led_to(api) == set())


def test_a_service_that_cannot_be_moved_at_once_is_moved_later(api, candidate):
    pod(api, "a")
    api.faults += [Fault("PATCH", "pods", 500) for _ in range(5)]
    candidate(identity("a"))
    eventually(lambda: not api.faults and led_to(api) == {"a"})


def fenced(folder):
    """A replica's store: one database, whoever it is."""
    file = folder / "aggregator.sqlite"
    if not file.exists():
        store_in(folder)
    return Store(connect(f"sqlite:///{file}"), fenced=True)


def write(store):
    store.add_event(UID, NOW, "Tested", 0, "", "")


@pytest.fixture
def started(tmp_path):
    store_in(tmp_path).create_run(run_record(), None, None)
    return tmp_path


def test_who_stands_by_is_ready_to_lead_and_writes_nothing(started):
    store = fenced(started)
    with pytest.raises(StaleLeader, match="stands by"):
        write(store)
    store.check()
    assert not store.leads
    store.take_over(1)
    write(store)
    assert store.leads


def test_a_stale_leader_is_refused_every_write_and_still_reads(started):
    old, new = fenced(started), fenced(started)
    old.take_over(1)
    write(old)
    new.take_over(2)
    with pytest.raises(StaleLeader, match=r"term \(1\) is not the present one \(2\)"):
        write(old)
    write(new)
    assert old.run("t") is not None
    assert [event.type for event in new.events_after(UID, 0)] == ["RunCreated", "Tested", "Tested"]


def test_a_term_that_is_over_cannot_be_begun(started):
    old, new = fenced(started), fenced(started)
    new.take_over(5)
    for late in (4, 5):
        with pytest.raises(StaleLeader):
            old.take_over(late)
    write(new)


def test_the_lease_and_the_store_agree_on_the_term(api, candidate, started):
    store, successor = fenced(started), fenced(started)
    store.take_over(7)
    first = candidate("a", successor)
    assert first.led.wait(LIMIT_S)
    assert successor.term == held(api)["leaseTransitions"] == 8
    with pytest.raises(StaleLeader):
        write(store)


def test_one_aggregator_on_its_own_database_needs_no_term(started):
    store = store_in(started)
    write(store)
    assert store.leads
