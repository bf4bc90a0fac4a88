"""Routes of the pages: each gathers one document and shows it."""

from pilot_registry.ui.pages import (
    audit,
    client,
    clients,
    home,
    live,
    run,
    runs,
    signing,
    system,
    transfer,
    transfer_csv,
)

ROUTERS = tuple(
    module.router for module in (signing, home, runs, live, run, clients, client, transfer, transfer_csv, system, audit)
)
