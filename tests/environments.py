"""Environments beside the one that the tests run in, made by `make environments`."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def python_of(name: str) -> Path:
    """The interpreter of an environment; skips the test where it is absent, fails it where nothing may be skipped."""
    found = ROOT / ".envs" / name / "bin" / "python"
    if found.exists():
        return found
    reason = f"no environment {name}: make environments"
    if "environments" in os.environ.get("PILOT_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)
