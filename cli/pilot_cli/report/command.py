"""`pilot report`: what came of runs, as a page, as tables, or in an MLflow store."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pilot_reports.history import History
from pilot_reports.numbers import size

from pilot_cli.context import server
from pilot_cli.errors import FAILED, USAGE, CommandError
from pilot_cli.output import console
from pilot_cli.report import csv_files
from pilot_cli.report.gathering import gather
from pilot_cli.report.writing import atomically


def report(
    runs: Annotated[list[str], typer.Argument(help="Runs; one of method 'local' shows what federating gave.")],
    out: Annotated[Path | None, typer.Option(help="One self-contained HTML file.")] = None,
    csv: Annotated[Path | None, typer.Option(help="A folder for metrics.csv, merge.csv, participation.csv.")] = None,
    mlflow: Annotated[str | None, typer.Option(help="A tracking URI: a server, or file:FOLDER.")] = None,
    experiment: Annotated[str, typer.Option(help="The MLflow experiment.")] = "pilot",
) -> None:
    """What came of runs, for reading, for counting, for MLflow.

    Examples: 'pilot report digits digits-local --out report.html', 'pilot report digits --csv tables'.
    """
    if out is None and csv is None and mlflow is None:
        raise CommandError("nothing to write", hint="name --out FILE, --csv FOLDER or --mlflow URI", exit_code=USAGE)
    histories = _gather(runs)
    text = _page(histories) if out is not None or mlflow is not None else ""
    if out is not None:
        with atomically(out) as stream:
            stream.write(text)
        console.print(f"{out}  {size(len(text.encode()))}", markup=False, soft_wrap=True)
    if csv is not None:
        for file in csv_files.write(histories, csv):
            console.print(f"{file}  {size(file.stat().st_size)}", markup=False, soft_wrap=True)
    if mlflow is not None:
        _export(histories, mlflow, experiment, text)


def _gather(runs: Sequence[str]) -> list[History]:
    names = list(dict.fromkeys(run.removeprefix("run/") for run in runs))
    access = server()
    with access.aggregator() as aggregator, access.registry() as registry:
        return [gather(aggregator, registry, name) for name in names]


def _page(histories: Sequence[History]) -> str:
    try:
        from pilot_cli.report.page import page
    except ModuleNotFoundError as error:
        raise _missing(error, "report", "matplotlib and jinja2") from error
    return page(histories)


def _export(histories: Sequence[History], uri: str, experiment: str, page: str) -> None:
    # MLflow reports its use to its makers unless told otherwise. What a run was is nobody's business but its owners'.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        from pilot_cli.report import mlflow_store
    except ModuleNotFoundError as error:
        raise _missing(error, "mlflow", "mlflow-skinny 3 or newer") from error
    for history in histories:
        exported = mlflow_store.export(history, uri, experiment, page)
        console.print(f"run/{history.name} is MLflow run {exported}", markup=False)


def _missing(error: ModuleNotFoundError, extra: str, packages: str) -> CommandError:
    return CommandError(
        f"this needs {error.name}, which is not installed",
        hint=f"install the command with its extra: pip install 'pilot-cli[{extra}]' ({packages})",
        exit_code=FAILED,
    )
