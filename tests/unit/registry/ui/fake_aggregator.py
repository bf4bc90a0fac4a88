"""An aggregator by hand, for the pages: it answers what a test put there, knows who asks, and can be away."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pilot_proto.plan import RoundDocument, RoundOutline, RoundOutlinePage
from pilot_proto.presets import expand
from pilot_proto.report import ClientReport, RunReport, TaskReport
from pilot_proto.run import ClientStatus, Condition, Progress, RunPage, RunStatus, RunView, StageTime
from pilot_proto.timeline import AttemptTimes, ClientTimes, RoundTimeline
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
    heard: list[dict[str, str]] = field(default_factory=list)
    """The headers of each."""

    def connected(self) -> Aggregator:
        return Aggregator("http://aggregator", clock=lambda: 0.0, transport=httpx.MockTransport(self._answer))

    def tell(self, path: str, document: BaseModel | dict[str, Any] | str | int) -> None:
        """Put a document, a text, or a status to refuse with."""
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

    def tell_round(
        self, document: RoundDocument, told: RoundTimeline | None = None, view: RunView | None = None
    ) -> None:
        """All that a round's page reads."""
        place = f"runs/{document.run}/rounds/{document.round}"
        self.tell(place, document)
        self.tell(f"{place}/timeline", told or timeline(document.round, run=document.run))
        self.tell(f"runs/{document.run}", view or run_view(document.run, round=document.round))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("connection refused")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        body = json.loads(request.content) if request.content else None
        path = request.url.path.removeprefix(API)
        self.heard.append(dict(request.headers))
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
        if isinstance(found, str):
            return httpx.Response(200, text=found)
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


def federation(clients: dict[str, str], disabled: tuple[str, ...] = (), error: str = "") -> dict[str, Any]:
    """`GET federation`: clients by task, each with a folder of its own."""
    members = [
        {"name": name, "task": task, "data": f"/data/of/{name}", "disabled": name in disabled}
        for name, task in clients.items()
    ]
    spec = {
        "models": [{"name": "digits-tiny", "path": "/models/digits-tiny"}],
        "tasks": [{"name": task} for task in sorted({each["task"] for each in members})],
        "clients": members,
    }
    return {"metadata": {"name": "test"}, "spec": spec, "status": {"digest": "sha256:" + "0" * 64, "error": error}}


def round_document(number: int = 1, state: str = "Published", **more: Any) -> RoundDocument:
    """A round as the aggregator tells it, without the plan."""
    program = {0: "prepare"}.get(number, "stage-1")
    return RoundDocument(**{"run": "digits", "round": number, "program": program, "state": state, **more})


def after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def attempt_times(number: int = 1, state: str = "Succeeded", **more: Any) -> AttemptTimes:
    """Ten seconds of waiting, two of starting, then forty of work."""
    known: dict[str, Any] = {
        "attempt": number,
        "state": state,
        "exit_code": 0,
        "intended_at": after(0),
        "started_at": after(10),
        "ended_at": after(53),
        "reported_at": after(52),
        "stages": (StageTime(stage="fetching", seconds=10), StageTime(stage="training", seconds=30)),
    }
    return AttemptTimes(**{**known, **more})


def timeline(number: int = 1, clients: dict[str, tuple[AttemptTimes, ...]] | None = None, **more: Any) -> RoundTimeline:
    """A round of a hundred seconds."""
    made = clients if clients is not None else {client: (attempt_times(),) for client in CLIENTS}
    known: dict[str, Any] = {
        "run": "digits",
        "program": "stage-1",
        "opened_at": after(0),
        "quorum_at": after(55),
        "sealed_at": after(60),
        "measured_at": after(70),
        "planned_at": after(72),
        "merged_at": after(90),
        "published_at": after(100),
    }
    times = tuple(ClientTimes(client=c, task=CLIENTS.get(c, "vqa"), attempts=a) for c, a in sorted(made.items()))
    return RoundTimeline(round=number, clients=times, **{**known, **more})


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
