"""Fixtures for all tests."""

import logging

import pytest
from databases import each_database, postgres_server

__all__ = ["each_database", "postgres_server"]


@pytest.fixture(autouse=True)
def _logs_as_they_were():
    """A program under test sets up logging for its process; the next test in ours must not print through it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
