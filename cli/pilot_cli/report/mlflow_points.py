"""A run in MLflow's words: parameters, tags, and metrics by round, for the run and for each client. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from pilot_proto.local_update import LocalUpdate
from pilot_reports.comparison import Value
from pilot_reports.history import History
from pilot_reports.metric_tables import mean
from pilot_reports.specs import flat, written

LONGEST_PARAMETER = 6000
LONGEST_TAG = 8000
UID, CLIENT = "pilot.uid", "pilot.client"
"""The tags by which an export finds what an earlier one wrote."""
STATUS = {"Succeeded": "FINISHED", "Failed": "FAILED", "Cancelled": "KILLED"}
"""MLflow's word for how a run ended; everything else is RUNNING."""


@dataclass(frozen=True)
class Point:
    """One value of one metric; its step is the round."""

    key: str
    step: int
    value: float


def status(history: History) -> str:
    return STATUS.get(history.view.status.phase, "RUNNING")


def parameters(history: History) -> dict[str, str]:
    """The expanded spec by dotted path."""
    return {path: written(value)[:LONGEST_PARAMETER] for path, value in flat(history.view.spec).items()}


def run_tags(history: History) -> dict[str, str]:
    """What finds the run again, what it ended as, and the commits that stand."""
    status = history.view.status
    tags = {
        UID: status.uid,
        CLIENT: "",
        "pilot.run": history.name,
        "pilot.method": history.method,
        "pilot.phase": status.phase,
        "pilot.conditions": json.dumps([condition.model_dump() for condition in status.conditions]),
    }
    commits = {f"pilot.commit.{repo.partition('/')[2]}": commit for repo, commit in history.report.published.items()}
    return {name: value[:LONGEST_TAG] for name, value in (tags | commits).items()}


def client_tags(history: History, client: str, task: str) -> dict[str, str]:
    return {UID: history.view.status.uid, CLIENT: client, "pilot.run": history.name, "pilot.task": task}


def run_points(history: History) -> list[Point]:
    """Per task the means over its clients: `task/vqa/merged` from round 0, `task/vqa/local` from round 1."""
    found: list[Point] = []
    for task in history.report.tasks:
        members = [client for client in history.report.clients if client.task == task.task]
        merged = [mean(column) for column in zip(*((c.before, *c.merged) for c in members), strict=True)]
        local = [mean(column) for column in zip(*(c.local for c in members), strict=True)]
        found += _points(f"task/{task.task}", merged, local)
    for round in history.trained:
        if round.ledger:
            found.append(Point("clients_counted", round.round, float(sum(e.counted for e in round.ledger.entries))))
    return found


def client_points(history: History, client: str) -> list[Point]:
    """One client's metric at both points, its losses, router and bytes, by round."""
    told = next(c for c in history.report.clients if c.client == client)
    found = list(_points("", [told.before, *told.merged], list(told.local)))
    for update in history.updates or ():
        if update.client == client:
            found += _update_points(update)
    return found


def _points(prefix: str, merged: list[Value], local: list[Value]) -> Iterator[Point]:
    for name, first, values in (("merged", 0, merged), ("local", 1, local)):
        for step, value in enumerate(values, first):
            if value is not None:
                yield Point(f"{prefix}/{name}".lstrip("/"), step, value)


def _update_points(update: LocalUpdate) -> Iterator[Point]:
    for part, summary in sorted(update.losses.items()):
        yield Point(f"loss/{part}", update.round, summary.mean)
    for task, share in sorted(update.router.items()):
        yield Point(f"router/{task}", update.round, share)
    yield Point("bytes/sent", update.round, float(update.uploaded_bytes))
    yield Point("bytes/fetched", update.round, float(update.downloaded_bytes))
