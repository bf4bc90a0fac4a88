"""Routes of the pages: each gathers one document and shows it."""

from pilot_registry.ui.pages import (
    adapter,
    adapter_acts,
    adapters,
    audit,
    client,
    clients,
    compare,
    home,
    lineage,
    live,
    logs,
    merge,
    quarantine,
    round,
    run,
    runs,
    signing,
    system,
    transfer,
    transfer_csv,
)

WATCHING = (signing, home, runs, live, run, round, merge, logs, quarantine)
ADAPTERS = (adapters, adapter, adapter_acts, compare, lineage)
LOOKING_BACK = (clients, client, transfer, transfer_csv)
KEEPING = (system, audit)
ROUTERS = tuple(module.router for module in (*WATCHING, *ADAPTERS, *LOOKING_BACK, *KEEPING))
