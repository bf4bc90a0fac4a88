"""Writing a run into an MLflow store. Exporting again updates the same runs: they are found by their tags."""

import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from pilot_reports.history import History

from pilot_cli.errors import FAILED, CommandError
from pilot_cli.report import mlflow_points as points
from pilot_cli.report.mlflow_points import CLIENT, UID, Point

PARAMETERS_AT_ONCE, METRICS_AT_ONCE = 100, 1000
PAGE = "report.html"


def export(history: History, uri: str, experiment: str, page: str) -> str:
    """Write a run, with a nested run per client and the page as an artifact; the id of the MLflow run.

    Raises:
        CommandError: the store refused, with its own words.
    """
    try:
        return Export(MlflowClient(tracking_uri=uri), history, experiment).write(page)
    except MlflowException as error:
        hint = (
            "a tracking server's address works as it is; a folder needs MLFLOW_ALLOW_FILE_STORE=true; "
            "sqlite:///mlflow.db needs the whole package mlflow instead of mlflow-skinny"
        )
        raise CommandError(f"MLflow at {uri} refused", why=str(error), hint=hint, exit_code=FAILED) from error


class Export:
    """One run on its way into one experiment."""

    def __init__(self, client: MlflowClient, history: History, experiment: str) -> None:
        self.client = client
        self.history = history
        known = client.get_experiment_by_name(experiment)
        self.experiment: str = known.experiment_id if known else client.create_experiment(experiment)
        self.began = _milliseconds(history.view.status.created_at)
        ended = history.view.status.ended_at
        self.ended = _milliseconds(ended) if ended else None

    def write(self, page: str) -> str:
        """The run, its clients, its page."""
        history = self.history
        run = self._run(history.name, "", points.run_tags(history))
        self._write(run, points.parameters(history), points.run_points(history))
        for client in history.report.clients:
            tags = points.client_tags(history, client.client, client.task) | {MLFLOW_PARENT_RUN_ID: run}
            nested = self._run(client.client, client.client, tags)
            facts = {"client": client.client, "task": client.task, "metric": client.metric}
            self._write(nested, facts, points.client_points(history, client.client))
            self._end(nested)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, PAGE)
            file.write_text(page, encoding="utf-8")
            self.client.log_artifact(run, str(file))
        self._end(run)
        return run

    def _run(self, name: str, client: str, tags: dict[str, str]) -> str:
        """The run with these two tags, as it was or new."""
        wanted = f"tags.`{UID}` = '{self.history.view.status.uid}' and tags.`{CLIENT}` = '{client}'"
        found = self.client.search_runs([self.experiment], wanted, max_results=1)
        if found:
            run: str = found[0].info.run_id
        else:
            run = self.client.create_run(self.experiment, start_time=self.began, run_name=name).info.run_id
        self.client.log_batch(run, tags=[RunTag(key, value) for key, value in ({MLFLOW_RUN_NAME: name} | tags).items()])
        return run

    def _write(self, run: str, parameters: dict[str, str], values: Sequence[Point]) -> None:
        given = [Param(key, value) for key, value in parameters.items()]
        for place in range(0, len(given), PARAMETERS_AT_ONCE):
            self.client.log_batch(run, params=given[place : place + PARAMETERS_AT_ONCE])
        new = list(self._new(run, values))
        for place in range(0, len(new), METRICS_AT_ONCE):
            self.client.log_batch(run, metrics=new[place : place + METRICS_AT_ONCE])

    def _new(self, run: str, values: Sequence[Point]) -> Iterator[Metric]:
        """Those that are not there yet: MLflow appends, it does not replace."""
        keys = {point.key for point in values}
        known = {(m.key, m.step) for key in sorted(keys) for m in self.client.get_metric_history(run, key)}
        for point in values:
            if (point.key, point.step) not in known:
                yield Metric(point.key, point.value, self.began + point.step, point.step)

    def _end(self, run: str) -> None:
        status = points.status(self.history)
        if status == "RUNNING":
            self.client.update_run(run, status=status)
        else:
            self.client.set_terminated(run, status, end_time=self.ended)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
