"""How long the registry's pages take, with 100,000 versions, 1,000 runs and 200 clients, and a run of all of them.

Registry and aggregator answer in this process, over the databases that they really use; times are of whole requests of
an admin, from signing to HTML, what the aggregator needs included. Nothing here waits for anything, so CPU time is
what a page takes on a machine that has a core free; it decides. The aims: 95 of 100 within 150 ms on two cores, and
what a browser fetches when it opens a page for the first time at most 150 kB. `--quick` shows that it works.
"""

import asyncio
import gc
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import seeds
import uvicorn
from index_rows import Index
from listing import CLIENTS, ROUNDS, RUNS, TASKS, members, seed, settings_in
from pilot_aggregator.__main__ import put_together
from pilot_aggregator.app import build_app as aggregator_app
from pilot_aggregator.settings import Settings as AggregatorSettings
from pilot_disk.database import connect
from pilot_http.identity import authenticator
from pilot_registry.app import build_app
from pilot_registry.context import Registry
from pilot_registry.settings import Settings
from safetensors.numpy import save

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from deployments import free_ports, write_federation

QUICK = "--quick" in sys.argv
REPEATS, WARM = (4, 1) if QUICK else (40, 2)
LIMIT_MS, LIMIT_BYTES = 150, 150_000
WIDE, WIDE_ROUNDS = "wide", 3
RUN, NEXT = "run-15", "run-16"
LAYERS, RANK, WIDTH = 32, 8, 64
"""A LoRA of as many tensors as one of a 7B model has; its matrices are narrower."""
TEXT = f"{WIDE}/client-client-1-text"
PAGES = {
    "home": "/ui",
    "runs": "/ui/runs",
    "run": f"/ui/runs/{RUN}",
    "run of 200 clients": f"/ui/runs/{WIDE}",
    "round of 200 clients": f"/ui/runs/{WIDE}/rounds/2",
    "its distances": f"/ui/runs/{WIDE}/rounds/2/distances",
    "lineage": f"/ui/runs/{RUN}/lineage",
    "lineage of 200 clients": f"/ui/runs/{WIDE}/lineage",
    "adapters": "/ui/adapters",
    "adapters, one kind": "/ui/adapters?kind=text",
    "adapters, words": "/ui/adapters?q=task%3Avqa+connector",
    "adapters, nothing": "/ui/adapters?q=nothing",
    **{
        f"adapter, {tab}": f"/ui/adapters/{TEXT}?tab={tab}"
        for tab in ("use", "tensors", "lineage", "metrics", "files", "history", "card", "audit", "delete")
    },
    "compare": f"/ui/compare?a={TEXT}@round-1&b={TEXT}@round-3",
    "clients": "/ui/clients",
    "client": "/ui/clients/client-3",
    "quarantine": "/ui/quarantine",
    "transfer": f"/ui/transfer?run={RUN}&run={NEXT}",
    "transfer of 200 clients": f"/ui/transfer?run={WIDE}",
    "system": "/ui/system",
    "audit": "/ui/audit",
    "audit, one run": f"/ui/audit?object={RUN}",
    "a page that is not there": "/ui/runs/run-1O",
}


def everybody() -> dict[str, str]:
    """All clients, sorted, by name to task."""
    names = sorted(f"client-{i}" for i in range(CLIENTS))
    return {name: TASKS[i % len(TASKS)] for i, name in enumerate(names)}


def lora(number: int) -> bytes:
    """The file of a LoRA after a round."""
    chance = np.random.default_rng(number)
    shapes = {"lora_A": (RANK, WIDTH), "lora_B": (WIDTH, RANK)}
    layers = [f"base_model.model.language_model.layers.{layer}.self_attn" for layer in range(LAYERS)]
    return save(
        {
            f"{layer}.{name}_proj.{part}.weight": chance.standard_normal(shape).astype("float32")
            for layer in layers
            for name in "qkvo"
            for part, shape in shapes.items()
        }
    )


def seed_registry(registry: Registry) -> int:
    """The number of versions."""
    seed(registry, 20 if QUICK else RUNS)
    index = Index(registry)
    index.add_run(WIDE, everybody(), WIDE_ROUNDS, CLIENTS, {TEXT: lora})
    index.write()
    return index.versions


def seed_aggregator(url: str) -> None:
    """The same runs."""
    engine = connect(url)
    with engine.begin() as sql:
        for number in range(20 if QUICK else RUNS):
            seeds.store_run(sql, f"uid-run-{number}", f"run-{number}", members(number), ROUNDS, number)
        seeds.store_run(sql, f"uid-{WIDE}", WIDE, everybody(), WIDE_ROUNDS, RUNS)
    engine.dispose()


@contextmanager
def aggregator(folder: Path, keys: Path, registry_url: str) -> Iterator[str]:
    """Its address; it answers in a thread of this process."""
    port = free_ports()
    (folder / "keys").mkdir()
    (folder / "keys" / "aggregator.key").write_text("aggregator")
    settings = AggregatorSettings(
        state_dir=folder,
        federation=write_federation(folder, everybody()),
        keys=keys,
        key_dir=folder / "keys",
        registry_url=registry_url,
        port=port,
        job_entry="standin:run",
    )
    service = put_together(settings)
    seed_aggregator(settings.database)
    app = aggregator_app(service, authenticator(settings, keys), settings.allowed_hosts)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        service.close()


async def timed(client: httpx.AsyncClient, path: str) -> tuple[list[float], list[float]]:
    """Milliseconds of each of some requests: on the clock, and of CPU."""
    spent, used = [], []
    for turn in range(WARM + REPEATS):
        started, began = time.perf_counter(), time.process_time()
        answer = await client.get(path)
        if turn >= WARM:
            spent.append((time.perf_counter() - started) * 1000)
            used.append((time.process_time() - began) * 1000)
        assert answer.status_code == (404 if path == PAGES["a page that is not there"] else 200), (path, answer.text)
    return spent, used


async def weight(client: httpx.AsyncClient, path: str) -> int:
    """Bytes that a browser with an empty cache fetches for a page, as they are sent."""
    fetched, html = await _sent(client, path)
    for asset in set(re.findall(r'(?:src|href)="(/ui/static/[^"]+)"', html)):
        fetched += (await _sent(client, asset))[0]
    return fetched


async def _sent(client: httpx.AsyncClient, path: str) -> tuple[int, str]:
    async with client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
        text = (await answer.aread()).decode()
        return answer.num_bytes_downloaded, text


async def measure(app: Any) -> dict[str, tuple[list[float], list[float], int]]:
    """Every page, as an admin sees it."""
    headers = {"Authorization": "Bearer admin", "Accept": "text/html"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://registry", timeout=60, headers=headers
    ) as client:
        return {name: (*await timed(client, path), await weight(client, path)) for name, path in PAGES.items()}


def main() -> None:
    """Seed, measure, print; exit 1 when a page is above a limit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = settings_in(folder)
        (folder / "aggregator").mkdir()
        with aggregator(folder / "aggregator", settings.keys, "http://127.0.0.1:9") as url:
            app = build_app(Settings(**{**settings.model_dump(), "aggregator_url": url}))
            made = seed_registry(app.state.registry)
            # What seeding left behind is no part of a service, and Python would look through it again and again.
            gc.collect()
            gc.freeze()
            print(f"{made} versions, {RUNS} runs, {CLIENTS} clients; milliseconds, and bytes of a first load")
            print(f"{'':>26} {'p50':>7} {'p95':>7} {'CPU p95':>8} {'kB':>6}")
            failed = []
            for page, (spent, used, size) in asyncio.run(measure(app)).items():
                p95, cpu = (statistics.quantiles(values, n=20)[-1] for values in (spent, used))
                print(f"{page:>26} {statistics.median(spent):>7.1f} {p95:>7.1f} {cpu:>8.1f} {size / 1000:>6.1f}")
                failed += [page] if cpu > LIMIT_MS or size > LIMIT_BYTES else []
            app.state.registry.close()
    if failed and not QUICK:
        sys.exit(f"above {LIMIT_MS} ms or {LIMIT_BYTES / 1000:.0f} kB: {', '.join(failed)}")


if __name__ == "__main__":
    main()
