"""The command, called as a person calls it, against a deployment on loopback."""

import logging
import sys
from dataclasses import dataclass

import pytest
from pilot_cli import main
from unit.aggregator.service import app_over, service_in
from unit.cli.deployment import CannedRegistry, Deployment, aggregator, served

VARIABLES = ("PILOT_URL", "PILOT_REGISTRY_URL", "PILOT_TOKEN", "PILOT_TOKEN_FILE", "PILOT_STATE_DIR", "PILOT_CONTEXT")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder in which nothing says where a deployment is."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PILOT_CONFIG_DIR", str(tmp_path / "settings"))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def pilot(elsewhere, monkeypatch, capsys):
    """Call the command; its exit code and what it said."""

    # A trainer that an earlier test ran in this process logs to stdout, where the command's own words are read.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["pilot", *(str(a) for a in arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def deployed(elsewhere, tmp_path, monkeypatch):
    """A deployment, known to the command by its environment, as the operator."""
    service = service_in(tmp_path)
    registry = CannedRegistry()
    with served(aggregator(app_over(service))) as url, served(registry) as registry_url:
        monkeypatch.setenv("PILOT_URL", url)
        monkeypatch.setenv("PILOT_REGISTRY_URL", registry_url)
        monkeypatch.setenv("PILOT_TOKEN", "operator")
        yield Deployment(service, registry)
