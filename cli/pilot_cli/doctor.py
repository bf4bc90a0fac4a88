"""`pilot doctor`: look for the cause. Each line passes or fails, and a failing one says what to do."""

import importlib.util
import os
import platform
import shutil
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import httpx
import typer
from pilot_client.transport import PREFIX, trusted

from pilot_cli.context import ENDPOINT, elsewhere, find_endpoint, server
from pilot_cli.errors import CommandError
from pilot_cli.findings import Finding, show
from pilot_cli.model_check import model_findings

NEEDED_GB = 2.0
Trust = ssl.SSLContext | bool


class Hints(NamedTuple):
    """What to do next, where the deployment is."""

    away: str
    unwell: str
    key: str
    federation: str


HERE = Hints(
    "start it: 'pilot up'; its log is beside the endpoint file",
    "see its log, beside the endpoint file",
    "the keys are beside the endpoint file, in keys/",
    "correct the federation file; until then it is in force as it was before",
)
THERE = Hints(
    "does its address lead there (port-forward, ingress)? 'kubectl get pods' shows whether it runs",
    "'kubectl describe pod' and 'kubectl logs' of it say why",
    "log in again: 'helm get notes RELEASE' says how to read a key of that deployment",
    "correct the values and run 'helm upgrade'; until then it is in force as it was before",
)


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
    here = (_machine, _disk) if elsewhere() else (_machine, _packages, _disk)
    show(finding for check in (*here, _deployment) for finding in check())


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
    there = elsewhere()
    try:
        known = server()
        place = known.aggregator_url if there else str(find_endpoint().parent / ENDPOINT)
    except CommandError as error:
        yield Finding("deployment", False, str(error), error.hint)
        return
    yield Finding("deployment", True, f"{place}, by {there}" if there else place)
    hints = THERE if there else HERE
    trust = trusted(known.ca_file)
    yield _reachable("aggregator", known.aggregator_url, trust, hints)
    yield _reachable("registry", known.registry_url, trust, hints)
    yield from _allowed(known.aggregator_url, known.token.read(), trust, hints)


def _reachable(name: str, url: str, trust: Trust, hints: Hints) -> Finding:
    try:
        answer = httpx.get(f"{url}/readyz", timeout=5, verify=trust)
    except httpx.TransportError as error:
        return Finding(name, False, f"{url}: {error or type(error).__name__}", hints.away)
    ready = _told(answer, "status") == "ready"
    return Finding(name, ready, f"{url}: {'ready' if ready else _told(answer, 'detail')}", hints.unwell)


def _allowed(url: str, token: str, trust: Trust, hints: Hints) -> Iterator[Finding]:
    """What the key opens, and whether what it shows is in force."""
    try:
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(f"{url}{PREFIX}/federation", headers=headers, timeout=5, verify=trust)
    except httpx.TransportError as error:
        yield Finding("your key", False, str(error) or type(error).__name__, "start the services first")
        return
    yield Finding("your key", answer.status_code == 200, f"HTTP {answer.status_code}", hints.key)
    if answer.status_code == 200:
        fault = answer.json()["status"]["error"]
        yield Finding("federation", not fault, fault or "in force", hints.federation)


def _told(answer: httpx.Response, key: str) -> str:
    try:
        told = answer.json()
    except ValueError:
        told = None
    if isinstance(told, dict):
        return str(told.get(key, ""))
    return f"HTTP {answer.status_code}, and no answer of a service of Pilot"
