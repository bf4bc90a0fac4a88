"""The command `pilot`: every verb in one listing, and one place where trouble becomes an exit code."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer
from pilot_client.errors import ApiError, Unreachable, Untrusted

from pilot_cli import (
    adapters,
    clients,
    compare,
    doctor,
    explain,
    export,
    inspect,
    login,
    merge,
    registry,
    runs,
    starting,
    verification,
)
from pilot_cli.data import command as data
from pilot_cli.errors import AUTH, CONFLICT, FAILED, MISSING, USAGE, CommandError
from pilot_cli.estimate import command as estimate
from pilot_cli.local import commands as local
from pilot_cli.local import prediction
from pilot_cli.output import complaints
from pilot_cli.report import command as report

app = typer.Typer(
    name="pilot",
    help="Federated tuning of multimodal LLMs across clients with different tasks.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

RUNNING, LOOKING, SHIPPING, HERE = "Run", "Look", "Adapters", "On this machine"

COMMANDS: list[tuple[str, Callable[..., None]]] = [
    (HERE, starting.init),
    (HERE, local.demo),
    (HERE, local.up),
    (HERE, login.login),
    (RUNNING, runs.run),
    (RUNNING, runs.trigger),
    (RUNNING, runs.pause),
    (RUNNING, runs.resume),
    (RUNNING, runs.cancel),
    (RUNNING, runs.retry),
    (RUNNING, runs.verdict),
    (RUNNING, runs.wait),
    (RUNNING, runs.validate),
    (LOOKING, inspect.get),
    (LOOKING, inspect.describe),
    (LOOKING, inspect.logs),
    (LOOKING, compare.compare),
    (LOOKING, report.report),
    (SHIPPING, adapters.pull),
    (SHIPPING, adapters.diff),
    (SHIPPING, verification.verify),
    (SHIPPING, merge.merge),
    (SHIPPING, export.export),
    (HERE, prediction.predict),
    (HERE, doctor.doctor),
    (HERE, estimate.estimate),
    (HERE, explain.explain),
]
for panel, command in COMMANDS:
    app.command(rich_help_panel=panel)(command)
app.add_typer(login.context, name="context", rich_help_panel=HERE)
app.add_typer(data.data, name="data", rich_help_panel=HERE)
app.add_typer(adapters.alias, name="alias", rich_help_panel=SHIPPING)
app.add_typer(adapters.adapters, name="adapters", rich_help_panel=SHIPPING)
app.add_typer(registry.registry, name="registry", rich_help_panel=HERE)
app.add_typer(clients.clients, name="clients", rich_help_panel=RUNNING)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as version_of

        typer.echo(f"pilot {version_of('pilot-cli')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """What stands before every command."""


def main() -> None:
    """The entry point: trouble ends with what, why and what next on stderr, and a stable exit code."""
    try:
        app()
    except CommandError as error:
        _complain(error.what, error.why, error.hint)
        sys.exit(error.exit_code)
    except ApiError as error:
        problem = error.problem
        why = "\n".join(f"{e.pointer}: {e.message}" + (f" ({e.hint})" if e.hint else "") for e in problem.errors)
        _complain(f"{problem.detail} [{problem.code}]", why, problem.hint)
        sys.exit(
            {401: AUTH, 403: AUTH, 404: MISSING, 409: CONFLICT, 412: CONFLICT, 422: USAGE}.get(error.status, FAILED)
        )
    except Unreachable as error:
        _complain(str(error), "", "is it running? 'pilot up' starts one; 'pilot doctor' looks for the cause")
        sys.exit(FAILED)
    except Untrusted as error:
        _complain(str(error), "", "name a PEM file in PILOT_CA_FILE or with --ca-file")
        sys.exit(USAGE)
    except KeyboardInterrupt:
        sys.exit(130)


def _complain(what: str, why: str, hint: str) -> None:
    complaints.print(f"error: {what}", style="bold red", markup=False, soft_wrap=True)
    if why:
        complaints.print(why, markup=False, soft_wrap=True)
    if hint:
        complaints.print(f"next: {hint}", markup=False, soft_wrap=True)
