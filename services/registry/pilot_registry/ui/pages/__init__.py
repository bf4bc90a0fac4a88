"""Routes of the pages: each gathers one document and shows it."""

from pilot_registry.ui.pages import (
    audit,
    client,
    clients,
    home,
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
LOOKING_BACK = (clients, client, transfer, transfer_csv)
KEEPING = (system, audit)
ROUTERS = tuple(module.router for module in (*WATCHING, *LOOKING_BACK, *KEEPING))
