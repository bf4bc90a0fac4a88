"""Asking a deployment for all it knows of a run."""

from collections.abc import Callable
from typing import TypeVar

from pilot_client.aggregator import AggregatorClient
from pilot_client.errors import ApiError
from pilot_client.registry import RegistryClient
from pilot_proto.registry import RejectionPage, RejectionView
from pilot_proto.report import RunReport
from pilot_reports.history import History

from pilot_cli import results

FORBIDDEN = 403

T = TypeVar("T")


def gather(aggregator: AggregatorClient, registry: RegistryClient, name: str) -> History:
    """A run's history; what only an operator may read is left out for others."""
    updates = _allowed(lambda: aggregator.local_updates(name).items)
    return History(
        view=aggregator.run(name),
        report=results.read(aggregator, name),
        rounds=tuple(aggregator.rounds(name)),
        updates=updates,
        rejections=_allowed(lambda: _rejections(registry, name)),
    )


def report_with_scores(aggregator: AggregatorClient, name: str) -> RunReport:
    """A run's report, with the scores of every sample where the caller's key may read them."""
    return _allowed(lambda: results.read(aggregator, name, scores=True)) or results.read(aggregator, name)


def _allowed(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except ApiError as error:
        if error.status != FORBIDDEN:
            raise
        return None


def _rejections(registry: RegistryClient, run: str) -> tuple[RejectionView, ...]:
    found: list[RejectionView] = []
    cursor: str | None = None
    while True:
        wanted = {"run": run, "limit": 200, "cursor": cursor}
        answer = registry.get("rejections", **{key: value for key, value in wanted.items() if value})
        page = RejectionPage.model_validate(answer)
        found += page.items
        cursor = page.next
        if cursor is None:
            return tuple(reversed(found))
