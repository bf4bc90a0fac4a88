"""An aggregator by hand, for the pages: it answers what a test put there, knows who asks, and can be away."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from pilot_proto.plan import RoundOutline, RoundOutlinePage
from pilot_proto.presets import expand
from pilot_proto.report import ClientReport, RunReport, TaskReport
from pilot_proto.run import ClientStatus, Condition, Progress, RunPage, RunStatus, RunView
from pilot_registry.ui.upstream import Aggregator
from pydantic import BaseModel

API = "/api/v1alpha1/"
BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
CLIENTS = {"cap-1": "caption", "vqa-1": "vqa", "vqa-2": "vqa"}


@dataclass
class FakeAggregator:
    """Documents by path below the API's prefix, without their query."""

    documents: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, list[Any]] = field(default_factory=dict)
    """Documents that are told one after the other, before those."""
    away: bool = False
    calls: list[tuple[str, str, str, Any]] = field(default_factory=list)
    """Method, path with query, who asked (the bearer token), body."""

    def connected(self) -> Aggregator:
        return Aggregator("http://aggregator", clock=lambda: 0.0, transport=httpx.MockTransport(self._answer))

    def tell(self, path: str, document: BaseModel | dict[str, Any] | int) -> None:
        """Put a document, or a status to refuse with."""
        self.documents[path] = document

    def tell_run(self, view: RunView, report: RunReport | None = None, rounds: int = 0) -> None:
        """All that a run's page reads."""
        name = view.metadata["name"]
        self.tell(f"runs/{name}", view)
        self.tell(f"runs/{name}/report", report or run_report(name))
        outlines = [outline(number) for number in range(rounds)]
        self.tell(f"runs/{name}/outline", RoundOutlinePage(items=tuple(outlines)))
        self.tell(f"runs/{name}/updates", {"items": []})
        self.tell("runs", RunPage(items=(view,)))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("connection refused")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        body = json.loads(request.content) if request.content else None
        path = request.url.path.removeprefix(API)
        self.calls.append((request.method, request.url.raw_path.decode().removeprefix(API), token, body))
        waiting = self.answers.get(path)
        found = waiting.pop(0) if waiting else self.documents.get(path, 404)
        if isinstance(found, int):
            problem = {
                "type": "",
                "title": "No",
                "status": found,
                "code": "refused",
                "detail": f"no {path}",
                "hint": "",
            }
            return httpx.Response(found, json=problem)
        text = found.model_dump_json() if isinstance(found, BaseModel) else json.dumps(found)
        return httpx.Response(200, text=text)


def run_view(
    name: str = "digits", phase: str = "Training", conditions: tuple[Condition, ...] = (), **status: Any
) -> RunView:
    """A run in its second round."""
    document = {
        "apiVersion": "pilot/v1alpha1",
        "kind": "Run",
        "metadata": {"name": name},
        "spec": {"model": "digits-tiny", "rounds": ["stage-1", "stage-2", "stage-2"]},
    }
    known: dict[str, Any] = {
        "uid": "a" * 32,
        "phase": phase,
        "conditions": conditions,
        "round": 2,
        "program": "stage-2",
        "published": 1,
        "total_rounds": 3,
        "created_at": BEGAN,
        "tasks": {"caption": 1, "vqa": 2},
        "clients": tuple(client_status(client, task) for client, task in CLIENTS.items()),
    }
    return RunView(metadata={"name": name}, spec=expand(document).spec, status=RunStatus(**{**known, **status}))


def client_status(name: str = "vqa-1", task: str = "vqa", state: str = "Running", **more: Any) -> ClientStatus:
    progress = Progress(stage="training", step=3, total_steps=10, loss=0.5, samples_per_s=7.0, eta_s=90)
    return ClientStatus(**{"name": name, "task": task, "state": state, "attempt": 1, "progress": progress, **more})


def outline(number: int, state: str = "Published", **more: Any) -> RoundOutline:
    known = {
        "program": "stage-1" if number else "prepare",
        "started_at": BEGAN,
        "asked": 3,
        "answered": 3,
        "counted": 3,
    }
    return RoundOutline(round=number, state=state, **{**known, **more})


def run_report(name: str = "digits", rounds: int = 3) -> RunReport:
    clients = [
        ClientReport(
            client=c, task=t, metric="exact-match", before=0.1, merged=(0.2, None, None), local=(0.3, None, None)
        )
        for c, t in CLIENTS.items()
    ]
    tasks = [
        TaskReport(task=task, metric="exact-match", before=0.1, merged=None, local=None)
        for task in sorted(set(CLIENTS.values()))
    ]
    return RunReport(
        run=name, method="pilot", rounds=rounds, clients=tuple(clients), tasks=tuple(tasks), published={}, digests={}
    )
