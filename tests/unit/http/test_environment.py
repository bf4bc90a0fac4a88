"""A service whose environment is wrong says which variable, and ends."""

import os
import subprocess
import sys

import pytest

RULE = {"AUTH_MODE": "jwks"}


@pytest.mark.parametrize("service", ["registry", "aggregator"])
@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "STATE_DIR is missing"),
        ({"PORT": "70000"}, "PORT: Input should be less than or equal to 65535"),
        (RULE, "AUTH_MODE=jwks needs AUTH_SERVICE_ACCOUNTS and AUTH_NAMESPACE"),
    ],
)
def test_a_fault_in_the_environment_names_its_variable(service, variables, told, tmp_path):
    prefix = f"PILOT_{service.upper()}_"
    needed = {"STATE_DIR": tmp_path, "KEYS": tmp_path, "KEY_DIR": tmp_path, "FEDERATION": tmp_path, "REGISTRY_URL": "x"}
    given = {**(needed if variables else {}), **variables}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
    done = subprocess.run(
        [sys.executable, "-m", f"pilot_{service}"],
        env={**kept, **{prefix + name: str(value) for name, value in given.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_an_aggregator_without_its_federation_names_the_file(tmp_path):
    needed = {"STATE_DIR": tmp_path / "s", "KEYS": tmp_path, "KEY_DIR": tmp_path, "REGISTRY_URL": "http://127.0.0.1:1"}
    variables = {**needed, "FEDERATION": tmp_path / "federation.yaml"}
    done = subprocess.run(
        [sys.executable, "-m", "pilot_aggregator"],
        env={**os.environ, **{f"PILOT_AGGREGATOR_{name}": str(value) for name, value in variables.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert "federation.yaml" in done.stderr
    assert "Traceback" not in done.stderr
