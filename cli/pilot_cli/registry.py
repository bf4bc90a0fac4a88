"""The registry's housekeeping: ask the one that runs, or work on its state where it stands still."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pilot_client.errors import Unreachable
from pilot_client.transport import PREFIX
from pilot_reports.numbers import size

from pilot_cli.context import elsewhere, find_endpoint, server
from pilot_cli.errors import FAILED, CommandError
from pilot_cli.output import Format, Output, console, print_document

registry = typer.Typer(help="The registry's housekeeping, as admin.", no_args_is_help=True, rich_markup_mode=None)


@registry.command()
def check(
    deep: Annotated[bool, typer.Option("--deep", help="Hash every blob that is needed; reads them all.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Do store, index and journal agree? Exit code 1 when they do not."""
    report = _ask("GET", "admin/check", {"deep": deep}, ["check", *(["--deep"] if deep else [])])
    if output is Format.TABLE:
        console.print(
            f"{report['blobs']} blobs, {size(report['bytes'])}; {report['orphans']} that nothing names;"
            f" {report['records']} records of the journal",
            markup=False,
        )
        for fault in report["faults"]:
            console.print(f"{fault['code']}: {fault['object']}: {fault['detail']}", markup=False, soft_wrap=True)
    else:
        print_document(report, output)
    if not report["ok"]:
        raise CommandError(
            f"{len(report['faults'])} faults",
            hint="'index_behind' is mended by 'pilot registry reindex'; what is missing comes from a backup",
            exit_code=FAILED,
        )


@registry.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    older_than_s: Annotated[int, typer.Option(min=0, help="Younger garbage stays, in seconds.")] = 86400,
    output: Output = Format.TABLE,
) -> None:
    """Delete bytes that nothing refers to. The registry also does it by itself."""
    local = ["gc", "--older-than-s", str(older_than_s), *(["--dry-run"] if dry_run else [])]
    report = _ask("POST", "admin/gc", {"dry_run": dry_run, "older_than_s": older_than_s}, local)
    if output is not Format.TABLE:
        print_document(report, output)
        return
    what = "would delete" if dry_run else "deleted"
    console.print(
        f"{what} {report['blobs']} blobs, {size(report['bytes'])}, and {report['uploads']} unfinished uploads;"
        f" kept {report['kept']} blobs",
        markup=False,
    )


@registry.command()
def reindex(output: Output = Format.TABLE) -> None:
    """Rebuild the index from the store alone."""
    report = _ask("POST", "admin/reindex", {}, ["reindex"])
    if output is not Format.TABLE:
        print_document(report, output)
        return
    console.print(f"{report['versions']} versions from {report['records']} records", markup=False)


def _ask(method: str, path: str, params: dict[str, Any], local: list[str]) -> Any:
    """The running registry's answer; where none runs, what the command finds in the state of this folder."""
    try:
        with server("admin").registry() as running:
            return running.transport.once(method, f"{PREFIX}/{path}", params=params).json()
    except Unreachable:
        if elsewhere():
            raise
    return _on_the_state(find_endpoint().parent, local)


def _on_the_state(state: Path, arguments: list[str]) -> Any:
    environment = {
        "PILOT_REGISTRY_STATE_DIR": str(state / "registry"),
        "PILOT_REGISTRY_KEYS": str(state / "keys" / "keys.yaml"),
        # Where the bytes are, if not in the state folder, stands in the environment as it did for `pilot up`.
        **os.environ,
    }
    command = [sys.executable, "-m", "pilot_registry", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
    if not done.stdout:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise CommandError(f"the registry's {arguments[0]} ended with {done.returncode}", why=last[0], exit_code=FAILED)
    return json.loads(done.stdout)
