"""Routes of the pages: each gathers one document and shows it."""

from pilot_registry.ui.pages import adapter, adapter_acts, adapters, compare, home, lineage, live, run, runs, signing

ROUTERS = tuple(
    module.router for module in (signing, home, runs, live, run, adapters, adapter, adapter_acts, compare, lineage)
)
