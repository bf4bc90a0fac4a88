"""Figures about runs, read from the store when somebody scrapes."""

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from pilot_proto.run import Phase
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pilot_aggregator.rounds.attempts import Attempts
from pilot_aggregator.rounds.decide import ACTIVE
from pilot_aggregator.store.store import Store


class Fleet(Collector):
    """Who leads, runs by phase, clients at work by state, and what the webhook was told.

    Client names are no labels: there may be many.
    """

    def __init__(self, store: Store, attempts: Attempts) -> None:
        self._store = store
        self._attempts = attempts

    def collect(self) -> Iterator[Metric]:
        """Called at every scrape."""
        leads = GaugeMetricFamily("pilot_aggregator_leads", "1 if this aggregator drives the runs, 0 if it stands by")
        leads.add_metric([], float(self._store.leads))
        yield leads
        phases = self._store.count_by_phase()
        family = GaugeMetricFamily("pilot_runs", "Runs by phase", labels=["phase"])
        for phase in get_args(Phase):
            family.add_metric([phase], phases.get(phase, 0))
        yield family
        states = Counter(self._store.active_attempt_states())
        attempts = GaugeMetricFamily(
            "pilot_attempts_active", "Attempts that have not ended, by state", labels=["state"]
        )
        for state in sorted(ACTIVE):
            attempts.add_metric([state], states.get(state, 0))
        yield attempts
        told = self._store.count_deliveries()
        deliveries = GaugeMetricFamily("pilot_webhook_deliveries", "Ended runs to tell, by outcome", labels=["outcome"])
        for outcome in ("pending", "delivered", "given_up"):
            deliveries.add_metric([outcome], told.get(outcome, 0))
        yield deliveries
        yield from self._attempts.figures()
