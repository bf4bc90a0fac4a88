"""Fixtures for all tests."""

import logging

import pytest
from databases import each_database, postgres_server
from hypothesis import settings

__all__ = ["each_database", "postgres_server"]

# How long an example takes is no property of the code on a machine that others use too.
settings.register_profile("pilot", deadline=None)
settings.load_profile("pilot")


@pytest.fixture(autouse=True)
def _logs_as_they_were():
    """A program under test sets up logging for its process; the next test in ours must not print through it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
