"""Routes of the pages: each gathers one document and shows it."""

from pilot_registry.ui.pages import home, live, logs, merge, quarantine, round, run, runs, signing

ROUTERS = tuple(module.router for module in (signing, home, runs, live, run, round, merge, logs, quarantine))
