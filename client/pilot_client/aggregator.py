"""What the aggregator offers, as methods."""

from collections.abc import Sequence
from typing import Any

import httpx
from pilot_proto.assignment import AssignmentView
from pilot_proto.base import as_json
from pilot_proto.local_update import LocalUpdatePage
from pilot_proto.personal_model import ExportOrder, ExportView
from pilot_proto.plan import RoundDocument, VerifyReport
from pilot_proto.run import CommitReport, Progress, RunPage, RunView, StageTime
from pilot_proto.timeline import RoundTimeline

from pilot_client.transport import PREFIX, Transport


class AggregatorClient:
    """Runs and rounds for people; assignments and reports for trainers."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    # -- as a person

    def federation(self) -> Any:
        return self._get("federation").json()

    def create_run(self, document: Any, *, key: str | None = None, dry_run: bool = False) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        params = {"dry_run": "true"} if dry_run else {}
        response = self.transport.request("POST", f"{PREFIX}/runs", json=document, headers=headers, params=params)
        return response.json()

    def runs(
        self, phase: str | None = None, limit: int = 50, cursor: str | None = None, *, active: bool = False
    ) -> RunPage:
        params = {"phase": phase, "limit": limit, "cursor": cursor, "active": "true" if active else None}
        return RunPage.read(self._get("runs", **{k: v for k, v in params.items() if v}).content)

    def run(self, name: str) -> RunView:
        return RunView.read(self._get(f"runs/{name}").content)

    def trigger(self, run: str, through: int | str) -> RunView:
        return self._act(run, "rounds", {"through": through})

    def pause(self, run: str) -> RunView:
        return self._act(run, "pause")

    def resume(self, run: str) -> RunView:
        return self._act(run, "resume")

    def cancel(self, run: str) -> RunView:
        return self._act(run, "cancel")

    def retry(self, run: str, round: int, client: str) -> RunView:
        return self._act(run, f"rounds/{round}/clients/{client}/retry")

    def verdict(self, run: str, round: int, client: str, verdict: str, reason: str) -> RunView:
        body = {"verdict": verdict, "reason": reason}
        return self._act(run, f"rounds/{round}/clients/{client}/verdict", body)

    def rounds(self, run: str) -> list[RoundDocument]:
        return [RoundDocument.model_validate(item) for item in self._get(f"runs/{run}/rounds").json()["items"]]

    def round(self, run: str, number: int) -> RoundDocument:
        return RoundDocument.read(self._get(f"runs/{run}/rounds/{number}").content)

    def timeline(self, run: str, number: int) -> RoundTimeline:
        return RoundTimeline.read(self._get(f"runs/{run}/rounds/{number}/timeline").content)

    def local_updates(self, run: str) -> LocalUpdatePage:
        return LocalUpdatePage.read(self._get(f"runs/{run}/updates").content)

    def verify(self, run: str, number: int) -> VerifyReport:
        response = self.transport.request("POST", f"{PREFIX}/runs/{run}/rounds/{number}/verify", timeout=None)
        return VerifyReport.read(response.content)

    def report(self, run: str, *, scores: bool = False) -> Any:
        return self._get(f"runs/{run}/report", scores=str(scores).lower()).json()

    def logs(self, run: str, round: int, client: str) -> str:
        return self._get(f"runs/{run}/rounds/{round}/clients/{client}/logs").text

    def order_export(self, run: str, round: int, client: str, order: ExportOrder) -> ExportView:
        path = f"{PREFIX}/{self._attempt(run, round, client, 'export')}"
        return ExportView.read(self.transport.request("POST", path, json=as_json(order)).content)

    def export(self, run: str, round: int, client: str, order: ExportOrder) -> ExportView:
        return ExportView.read(self._get(self._attempt(run, round, client, "export"), **_query(order)).content)

    # -- as a client's trainer

    def assignment(self, run: str, round: int, client: str) -> AssignmentView:
        return AssignmentView.read(self._get(self._attempt(run, round, client, "assignment")).content)

    def send_progress(self, run: str, round: int, client: str, progress: Progress) -> None:
        path = f"{PREFIX}/{self._attempt(run, round, client, 'progress')}"
        self.transport.request("POST", path, json=as_json(progress))

    def send_report(self, run: str, round: int, client: str, commit: str, timings: Sequence[StageTime] = ()) -> None:
        path = f"{PREFIX}/{self._attempt(run, round, client, 'report')}"
        self.transport.request("POST", path, json=as_json(CommitReport(commit=commit, timings=tuple(timings))))

    def send_failure(self, run: str, round: int, client: str, code: str, message: str) -> None:
        path = f"{PREFIX}/{self._attempt(run, round, client, 'failure')}"
        self.transport.request("POST", path, json={"code": code, "message": message})

    def _attempt(self, run: str, round: int, client: str, what: str) -> str:
        return f"runs/{run}/rounds/{round}/clients/{client}/{what}"

    def _get(self, path: str, **params: Any) -> httpx.Response:
        return self.transport.request("GET", f"{PREFIX}/{path}", params=params)

    def _act(self, run: str, verb: str, body: Any = None) -> RunView:
        response = self.transport.request("POST", f"{PREFIX}/runs/{run}/{verb}", json=body)
        return RunView.read(response.content)


def _query(order: ExportOrder) -> dict[str, str]:
    return {"point": order.point, "merge_lora": str(order.merge_lora).lower()}
