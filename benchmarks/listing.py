"""How long a listing takes at 100,000 versions: every filter, a search, a page deep in, and the Hub's listings.

1,000 runs of five rounds, 200 clients of which ten take part in each run. The application answers in this process;
times are of whole requests, with authentication, SQL and JSON. The aim: 95 of 100 within 100 ms on two cores. Nothing
here waits for anything, so CPU time is what a request takes on a machine that has a core free; it decides.
"""

import asyncio
import gc
import hashlib
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import yaml
from index_rows import Index
from pilot_registry.app import build_app
from pilot_registry.context import Registry
from pilot_registry.settings import Settings

RUNS, CLIENTS, PER_RUN, ROUNDS = 1000, 200, 10, 5
TASKS = ("caption", "grounding", "vqa")
BATCH = 100
REPEATS = 60
LIMIT_MS = 100


def members(number: int) -> dict[str, str]:
    """The clients of a run, sorted, by name to task."""
    names = sorted(f"client-{(number * PER_RUN + i) % CLIENTS}" for i in range(PER_RUN))
    return {name: TASKS[i % len(TASKS)] for i, name in enumerate(names)}


def seed(registry: Registry, runs: int = RUNS) -> int:
    """Fill the index; the number of versions."""
    index = Index(registry)
    for number in range(runs):
        index.add_run(f"run-{number}", members(number), ROUNDS)
        if number % BATCH == BATCH - 1:
            index.write()
    index.write()
    return index.versions


def questions() -> dict[str, tuple[str, str]]:
    """What is asked, by whom."""
    listing = "/api/v1alpha1/adapters?"
    repo = "run-500/client-client-3-text"
    return {
        "newest": ("viewer", listing),
        "newest, 200": ("viewer", listing + "limit=200"),
        "run": ("viewer", listing + "run=run-500"),
        "kind": ("viewer", listing + "kind=text"),
        "client": ("viewer", listing + "client=client-3"),
        "task": ("viewer", listing + "task=vqa"),
        "round": ("viewer", listing + "round=3"),
        "state": ("viewer", listing + "state=live"),
        "state, none": ("admin", listing + "state=deleted"),
        "kind and round, none": ("admin", listing + "kind=update&round=9"),
        "task and round, none": ("viewer", listing + "task=vqa&round=9"),
        "kind and client": ("admin", listing + "kind=update&client=client-150"),
        "kind that one may not see": ("viewer", listing + "kind=update"),
        "search, common": ("viewer", listing + "q=connector"),
        "search, one run": ("viewer", listing + "q=run-777"),
        "search, none": ("viewer", listing + "q=nothing"),
        "search, commit": ("viewer", listing + "q=0a1b2c"),
        "as a client, newest": ("client:client-3", listing),
        "as a client, search": ("client:client-3", listing + "q=nothing"),
        "as a client, kind": ("client:client-3", listing + "kind=text&round=9"),
        "Hub: model_info": ("viewer", "/api/models/run-500/task-vqa-connector"),
        "Hub: model_info with files": ("viewer", "/api/models/run-500/task-vqa-connector/revision/round-3?blobs=true"),
        "Hub: tree": ("viewer", "/api/models/run-500/task-vqa-connector/tree/main?recursive=true"),
        "Hub: a repository that is not there": ("viewer", f"/api/models/{repo}x"),
    }


async def timed(client: httpx.AsyncClient, who: str, path: str) -> tuple[list[float], list[float]]:
    """Milliseconds of each of some requests: on the clock, and of CPU."""
    spent, used = [], []
    for _ in range(REPEATS):
        started, began = time.perf_counter(), time.process_time()
        answer = await client.get(path, headers={"Authorization": f"Bearer {who}"})
        spent.append((time.perf_counter() - started) * 1000)
        used.append((time.process_time() - began) * 1000)
        assert answer.status_code in (200, 404), answer.text
    return spent, used


async def deep(client: httpx.AsyncClient, path: str, pages: int) -> str:
    """The address of a page far behind the first."""
    found = path
    for _ in range(pages):
        cursor = (await client.get(found, headers={"Authorization": "Bearer viewer"})).json()["next"]
        found = f"{path}&cursor={cursor}"
    return found


async def measure(app: Any) -> dict[str, tuple[list[float], list[float]]]:
    """Every question."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://registry", timeout=60) as client:
        asked = questions()
        asked["200th page of a kind"] = (
            "viewer",
            await deep(client, "/api/v1alpha1/adapters?kind=connector&limit=60", 200),
        )
        return {name: await timed(client, who, path) for name, (who, path) in asked.items()}


def settings_in(folder: Path) -> Settings:
    """A registry whose keys are the names of those who have them."""
    keys = [
        {"principal": name, "sha256": hashlib.sha256(name.encode()).hexdigest()}
        for name in ("viewer", "admin", "client:client-3")
    ]
    (folder / "keys.yaml").write_text(yaml.safe_dump({"keys": keys}))
    return Settings(state_dir=folder / "state", keys=folder / "keys.yaml", allowed_hosts="registry")


def main() -> None:
    """Seed, measure, print; exit 1 when a p95 is above the limit."""
    with tempfile.TemporaryDirectory() as name:
        app = build_app(settings_in(Path(name)))
        made = seed(app.state.registry)
        # What seeding left behind is no part of a registry, and Python would look through it again and again.
        gc.collect()
        gc.freeze()
        print(f"{made} versions, {RUNS} runs, {CLIENTS} clients; milliseconds")
        print(f"{'':>36} {'p50':>7} {'p95':>7} {'CPU p95':>8}")
        slow = []
        for question, (spent, used) in asyncio.run(measure(app)).items():
            p95, cpu = (statistics.quantiles(values, n=20)[-1] for values in (spent, used))
            print(f"{question:>36} {statistics.median(spent):>7.1f} {p95:>7.1f} {cpu:>8.1f}")
            slow += [question] if cpu > LIMIT_MS else []
        app.state.registry.database.close()
    if slow:
        sys.exit(f"above {LIMIT_MS} ms: {', '.join(slow)}")


if __name__ == "__main__":
    main()
