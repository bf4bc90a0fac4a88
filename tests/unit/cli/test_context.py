"""Which deployment a command talks to, and as whom."""

import json
import os

import pytest
from pilot_cli.context import find_endpoint, server
from pilot_cli.errors import AUTH, CommandError


def deployment(state, name="it", role="operator"):
    """What `pilot up` leaves in a state folder."""
    (state / "keys").mkdir(parents=True)
    (state / "keys" / f"{role}.key").write_text(f"key of {name}")
    known = {"aggregator": f"http://{name}:1", "registry": f"http://{name}:2", "keys": str(state / "keys")}
    (state / "endpoint.json").write_text(json.dumps(known))
    return state / "endpoint.json"


def test_the_environment_names_both_services_and_the_token(elsewhere, monkeypatch):
    deployment(elsewhere / ".pilot" / "up")
    monkeypatch.setenv("PILOT_URL", "http://a")
    monkeypatch.setenv("PILOT_REGISTRY_URL", "http://r")
    monkeypatch.setenv("PILOT_TOKEN", "mine")
    found = server()
    assert (found.aggregator_url, found.registry_url, found.token.read()) == ("http://a", "http://r", "mine")


def test_one_address_without_the_other_is_refused(elsewhere, monkeypatch):
    monkeypatch.setenv("PILOT_URL", "http://a")
    with pytest.raises(CommandError, match="PILOT_REGISTRY_URL is not"):
        server()


@pytest.mark.parametrize("below", ["", "deep/er"])
@pytest.mark.parametrize("state", [".pilot", ".pilot/up", ".pilot/demo"])
def test_the_deployment_of_this_folder_or_one_above_is_found(elsewhere, monkeypatch, state, below):
    deployment(elsewhere / state)
    (elsewhere / below).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(elsewhere / below)
    found = server()
    assert (found.aggregator_url, found.token.read()) == ("http://it:1", "key of it")


def test_of_several_the_newest_is_taken(elsewhere):
    old, new = (deployment(elsewhere / ".pilot" / name, name) for name in ("zzz", "aaa"))
    os.utime(old, (1, 1))
    assert find_endpoint() == new
    assert server().aggregator_url == "http://aaa:1"


def test_a_state_folder_that_is_named_is_the_only_one_looked_at(elsewhere, monkeypatch):
    deployment(elsewhere / ".pilot")
    named = deployment(elsewhere / "other", "other")
    monkeypatch.setenv("PILOT_STATE_DIR", str(elsewhere / "other"))
    assert find_endpoint() == named
    named.unlink()
    with pytest.raises(CommandError, match="no deployment is known here"):
        find_endpoint()


def test_without_a_deployment_the_ways_to_one_are_told(elsewhere):
    with pytest.raises(CommandError) as caught:
        server()
    assert "pilot up" in caught.value.hint
    assert "PILOT_URL" in caught.value.hint


def test_a_role_has_its_own_key(elsewhere):
    deployment(elsewhere / ".pilot", role="viewer")
    assert server("viewer").token.read() == "key of it"
    with pytest.raises(CommandError, match=r"operator\.key cannot be read") as caught:
        server()
    assert caught.value.exit_code == AUTH


def test_a_command_without_a_deployment_complains_and_ends_with_1(pilot):
    told = pilot("get", "runs")
    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("error: no deployment is known here\n")
    assert "\nnext: start one with 'pilot up'" in told.err
