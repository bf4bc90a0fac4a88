"""How long the registry's pages take, with 100,000 versions, 1,000 runs and 200 clients seeded, and one run of all of them.

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
from pathlib import Path
from typing import Any

import httpx
import listing
import seeds
import uvicorn
import yaml
from pilot_aggregator.__main__ import put_together
from pilot_aggregator.app import build_app as aggregator_app
from pilot_aggregator.settings import Settings as AggregatorSettings
from pilot_digits.federation import write_federation
from pilot_digits.models import DIGITS_TINY
from pilot_http.identity import authenticator
from pilot_proto.assignment import FileRef
from pilot_proto.canonical import canonical_bytes, commit_of, digest_of
from pilot_proto.grant import Publication
from pilot_proto.names import ADAPTER_FILE, client_repo, task_repo
from pilot_registry.app import build_app
from pilot_registry.context import Registry
from pilot_registry.settings import Settings
from pilot_registry.store.port import blob_key
from pilot_registry.tables import Round
from safetensors.numpy import save
from sqlalchemy import insert, text

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from deployments import free_port

QUICK = "--quick" in sys.argv
REPEATS, WARM = (4, 1) if QUICK else (40, 2)
LIMIT_MS, LIMIT_BYTES = 150, 150_000
WIDE, WIDE_ROUNDS = "wide", 3
LAYERS, RANK, WIDTH = 32, 8, 64
"""A LoRA of as many tensors as one of a 7B model has; its matrices are narrower."""
TEXT = f"{WIDE}/client-client-0-text"
PAGES = {
    "home": "/ui",
    "runs": "/ui/runs",
    "run": "/ui/runs/run-500",
    "run of 200 clients": f"/ui/runs/{WIDE}",
    "round of 200 clients": f"/ui/runs/{WIDE}/rounds/2",
    "its distances": f"/ui/runs/{WIDE}/rounds/2/distances",
    "lineage": "/ui/runs/run-500/lineage",
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
    "transfer": "/ui/transfer?run=run-500&run=run-501",
    "transfer of 200 clients": f"/ui/transfer?run={WIDE}",
    "system": "/ui/system",
    "audit": "/ui/audit",
    "audit, one run": "/ui/audit?object=run-500",
    "a page that is not there": "/ui/runs/run-50O",
}


def lora(seed: int) -> bytes:
    """The file of a LoRA."""
    import numpy as np

    chance = np.random.default_rng(seed)
    shapes = {"lora_A": (RANK, WIDTH), "lora_B": (WIDTH, RANK)}
    return save(
        {
            f"base_model.model.language_model.layers.{layer}.self_attn.{name}_proj.{part}.weight": chance.standard_normal(
                shape
            ).astype("float32")
            for layer in range(LAYERS)
            for name in "qkvo"
            for part, shape in shapes.items()
        }
    )


def wide_run(registry: Registry) -> None:
    """A run of all clients: plans, ledgers, and one client's LoRA with its bytes."""
    clients = seeds.members(listing.CLIENTS)
    rows: listing.Rows = {table: [] for table in listing.TABLES}
    listing.add_run(rows, WIDE, "uid-wide", clients, 1 << 30)
    with registry.database.writing() as session:
        first = session.execute(text("SELECT MAX(id) FROM versions")).scalar_one() + 1
    for number in range(1, WIDE_ROUNDS + 1):
        plan, ledger = seeds.plan(WIDE, number, clients), seeds.ledger(WIDE, number, clients)
        for document in (plan, ledger):
            registry.store.put_bytes(blob_key(digest_of(canonical_bytes(document))), canonical_bytes(document))
        outputs = {}
        for made in (
            *listing.updates(WIDE, number, list(clients)),
            *listing.outputs(WIDE, number, list(clients), len(clients)),
        ):
            made = made.model_copy(update={"plan": digest_of(canonical_bytes(plan))} if made.plan else {})
            if made.repo == TEXT:
                body = lora(number)
                registry.store.put_bytes(blob_key(digest_of(body)), body)
                file = FileRef(digest=digest_of(body), size=len(body))
                made = made.model_copy(update={"files": {**made.files, ADAPTER_FILE["text"]: file}})
            listing.add_version(rows, made, "uid-wide", first + len(rows[listing.Version]))
            if made.kind != "update":
                outputs[made.repo] = commit_of(canonical_bytes(made))
        digests = {"plan": digest_of(canonical_bytes(plan)), "ledger": digest_of(canonical_bytes(ledger))}
        publication = Publication(run=WIDE, round=number, outputs=outputs, **digests)
        rows[Round].append(
            {
                "uid": "uid-wide",
                "number": number,
                "run": WIDE,
                "publication": canonical_bytes(publication).decode(),
                **digests,
            }
        )
        listing.add_grants(rows, WIDE, "uid-wide", number, clients)
    listing.write(registry, rows)
