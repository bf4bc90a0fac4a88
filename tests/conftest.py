"""Fixtures for all tests."""

from databases import each_database, postgres_server

__all__ = ["each_database", "postgres_server"]
