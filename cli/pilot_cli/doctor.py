"""`pilot doctor`: look for the cause. Each line passes or fails, and a failing one says what to do."""

import importlib.util
import os
import platform
import shutil
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import httpx
import typer
from pilot_client.transport import trusted

from pilot_cli.context import ENDPOINT, elsewhere, find_endpoint, server
from pilot_cli.errors import CommandError
from pilot_cli.findings import Finding, show
from pilot_cli.model_check import model_findings

NEEDED_GB = 2.0
Trust = ssl.SSLContext | bool


def doctor(
    model: Annotated[Path | None, typer.Option(help="Look at a base model's folder instead.")] = None,
    target: Annotated[
        str, typer.Option("--lora-target", help="With --model: what training.lora.target_modules is to be.")
    ] = "language-linear",
) -> None:
    """Look for the cause: this machine, its disk, the deployment, the credentials; or a base model's folder."""
    if model is not None:
        show(model_findings(model, target))
        return
    show(finding for check in (_machine, _packages, _disk, _deployment) for finding in check())


def _machine() -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("python", sys.version_info >= (3, 11), version, "Pilot needs Python 3.11 or newer")
    cores = len(os.sched_getaffinity(0))
    threads = os.environ.get("OMP_NUM_THREADS")
    crowded = threads is not None and threads.isdigit() and int(threads) > cores
    detail = f"{cores}, OMP_NUM_THREADS={threads or 'unset'}"
    yield Finding("cores", not crowded, detail, "more threads than cores slow every job down: unset OMP_NUM_THREADS")


def _packages() -> Iterator[Finding]:
    for name in (
        "pilot_aggregator",
        "pilot_registry",
        "pilot_trainer",
        "pilot_digits",
        "torch",
        "transformers",
        "peft",
    ):
        there = importlib.util.find_spec(name) is not None
        yield Finding(name, there, "installed" if there else "missing", "make setup; needed on this machine only")


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield Finding("disk", free > NEEDED_GB, f"{free:.1f} GB free here", "a run keeps every round's adapters: make room")


def _deployment() -> Iterator[Finding]:
    try:
        known = server()
        place = known.aggregator_url if elsewhere() else str(find_endpoint().parent / ENDPOINT)
    except CommandError as error:
        yield Finding("deployment", False, str(error), error.hint)
        return
    yield Finding("deployment", True, place)
    trust = trusted(known.ca_file)
    yield _reachable("aggregator", known.aggregator_url, trust)
    yield _reachable("registry", known.registry_url, trust)
    yield _allowed("your key", lambda: _ask(known.aggregator_url, known.token.read(), trust))


def _reachable(name: str, url: str, trust: Trust) -> Finding:
    try:
        answer = httpx.get(f"{url}/readyz", timeout=5, verify=trust)
    except httpx.TransportError as error:
        return Finding(name, False, f"{url}: {error}", "start it: 'pilot up'; its log is beside the endpoint file")
    return Finding(name, answer.is_success, f"{url}: {answer.json().get('detail', 'ready')}", "see its log")


def _allowed(what: str, ask: Callable[[], int]) -> Finding:
    try:
        status = ask()
    except httpx.TransportError as error:
        return Finding(what, False, str(error), "start the services first")
    return Finding(what, status == 200, f"HTTP {status}", "the keys are beside the endpoint file, in keys/")


def _ask(url: str, token: str, trust: Trust) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.get(f"{url}/api/v1alpha1/federation", headers=headers, timeout=5, verify=trust)
    return answer.status_code
