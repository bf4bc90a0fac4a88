"""Logging in, and which of several deployments a command talks to."""

import json
import os
import stat
import time

import pytest
import yaml
from pilot_cli import contexts
from pilot_cli.context import server
from pilot_cli.errors import AUTH, MISSING, USAGE
from unit.aggregator.service import app_over, service_in
from unit.cli.deployment import CannedRegistry, aggregator, served
from unit.cli.test_context import deployment

API = "/api/v1alpha1"


@pytest.fixture
def services(elsewhere, tmp_path):
    """A deployment elsewhere; its keys are the names of the roles."""
    registry = CannedRegistry()
    registry.tells("/version", json.dumps({"service": "registry", "version": "1", "api": "x"}).encode())
    with served(aggregator(app_over(service_in(tmp_path)))) as url, served(registry) as registry_url:
        yield url, registry_url


@pytest.fixture
def key(tmp_path):
    file = tmp_path / "operator.key"
    file.write_text("operator\n")
    return file


@pytest.fixture
def logged_in(pilot, services, key):
    told = pilot("login", services[0], "--registry", services[1], "--context", "lab", "--key-file", key)
    assert (told.code, told.err) == (0, "")
    return told


def stored():
    return yaml.safe_load(contexts.place().read_text())


def remember(**names):
    made = {n: contexts.Context(url=f"http://{n}", registry_url=f"http://{n}:2", key=k) for n, k in names.items()}
    current = next(iter(names))
    contexts.save(contexts.Contexts(current=current, chosen_at=time.time(), contexts=made))


# -- logging in


def test_a_login_is_remembered_for_its_owner_only_and_in_force(pilot, services, logged_in):
    assert logged_in.out == f"logged in to {services[0]} as the context 'lab', which is in force now\n"
    assert stat.S_IMODE(contexts.place().stat().st_mode) == 0o600
    assert stat.S_IMODE(contexts.place().parent.stat().st_mode) == 0o700
    assert stored()["contexts"]["lab"]["key"] == "operator"
    assert (pilot("get", "runs").code, pilot("get", "runs").err) == (0, "")
    assert [file.name for file in contexts.place().parent.iterdir()] == [contexts.FILE]


def test_a_key_is_taken_from_standard_input_where_there_is_no_terminal(pilot, services, monkeypatch, tmp_path):
    with (tmp_path / "in").open("w+") as stream:
        stream.write("viewer\n")
        stream.seek(0)
        monkeypatch.setattr("sys.stdin", stream)
        assert pilot("login", services[0], "--registry", services[1], "--context", "lab").code == 0
    assert server().token.read() == "viewer"


def test_without_a_name_it_is_called_like_its_host(pilot, services, key):
    assert pilot("login", services[0], "--registry", services[1], "--key-file", key).code == 0
    assert stored()["current"] == "127-0-0-1"


def test_logging_in_again_renews_the_key(pilot, services, logged_in, key):
    key.write_text("admin")
    assert pilot("login", services[0], "--registry", services[1], "--context", "lab", "--key-file", key).code == 0
    assert server().token.read() == "admin"
    assert list(stored()["contexts"]) == ["lab"]


@pytest.mark.parametrize(
    ("text", "why"),
    [("nobody", "it is not known there"), ("client:vqa-1", "it is not the key of a person")],
)
def test_a_key_that_is_refused_is_not_remembered(pilot, services, key, text, why):
    key.write_text(text)
    told = pilot("login", services[0], "--registry", services[1], "--key-file", key)
    assert told.code == AUTH
    assert why in told.err
    assert not contexts.place().exists()


@pytest.mark.parametrize("text", ["", "\n"])
def test_no_key_at_all(pilot, services, key, text):
    key.write_text(text)
    told = pilot("login", services[0], "--registry", services[1], "--key-file", key)
    assert (told.code, "no key was given" in told.err) == (AUTH, True)


def test_addresses_in_the_wrong_order_are_told_apart(pilot, services, key):
    told = pilot("login", services[1], "--registry", services[0], "--key-file", key)
    assert told.code == USAGE
    assert f"{services[1]} is not the aggregator, but registry" in told.err


@pytest.mark.parametrize("url", ["pilot.example", "ftp://pilot.example", "https://", ""])
def test_an_address_that_is_none(pilot, elsewhere, key, url):
    told = pilot("login", url, "--key-file", key)
    assert (told.code, "is no address of a service" in told.err) == (USAGE, True)


def test_a_registry_that_is_not_in_its_usual_place_is_asked_for(pilot, services, key):
    told = pilot("login", services[0], "--key-file", key)
    assert told.code == USAGE
    assert "where the registry answers is not known" in told.err
    assert "next: give --registry URL" in told.err


def test_somebody_elses_server_is_not_logged_in_to(pilot, services, key):
    registry = CannedRegistry()
    registry.tells("/version", b"<html>hello</html>")
    with served(registry) as url:
        told = pilot("login", url, "--registry", services[1], "--key-file", key)
    assert (told.code, "is no service of Pilot" in told.err) == (MISSING, True)


def test_a_name_that_no_context_can_have(pilot, services, key):
    told = pilot("login", services[0], "--registry", services[1], "--key-file", key, "--context", "a/b")
    assert (told.code, "a context cannot be called 'a/b'" in told.err) == (USAGE, True)


def test_certificates_that_cannot_be_used_are_named(pilot, services, key, tmp_path):
    (tmp_path / "ca.crt").write_text("no certificate")
    told = pilot("login", services[0], "--key-file", key, "--ca-file", tmp_path / "ca.crt")
    assert told.code == USAGE
    assert "ca.crt has no certificates that can be used" in told.err


# -- which one is in force


def test_without_any_login_nothing_is_elsewhere(elsewhere):
    assert contexts.load() == contexts.Contexts()


def test_what_was_done_last_counts(elsewhere):
    file = deployment(elsewhere / ".pilot" / "up")
    remember(lab="k")
    os.utime(file, (1, 1))
    assert server().aggregator_url == "http://lab"
    later = time.time() + 10
    os.utime(file, (later, later))
    assert server().aggregator_url == "http://it:1"


def test_a_folder_without_a_deployment_uses_the_context(elsewhere):
    remember(lab="k")
    assert server("admin").token.read() == "k"


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"PILOT_CONTEXT": "shop"}, "http://shop"),
        ({"PILOT_URL": "http://a", "PILOT_REGISTRY_URL": "http://r", "PILOT_CONTEXT": "shop"}, "http://a"),
        ({"PILOT_STATE_DIR": "named"}, "http://named:1"),
    ],
)
def test_the_environment_comes_first(elsewhere, monkeypatch, variables, url):
    deployment(elsewhere / "named", "named")
    remember(lab="k", shop="s")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert server().aggregator_url == url


def test_a_token_in_the_environment_stands_for_somebody_else_there(elsewhere, monkeypatch, tmp_path):
    remember(lab="k")
    (tmp_path / "token").write_text("rotated")
    monkeypatch.setenv("PILOT_TOKEN_FILE", str(tmp_path / "token"))
    assert (server().aggregator_url, server().token.read()) == ("http://lab", "rotated")


def test_a_context_that_does_not_exist_is_told_with_those_that_do(elsewhere, pilot, monkeypatch):
    remember(lab="k")
    monkeypatch.setenv("PILOT_CONTEXT", "shop")
    told = pilot("get", "runs")
    assert told.code == MISSING
    assert "there is no context 'shop'" in told.err
    assert "contexts: lab" in told.err


# -- looking, choosing, forgetting


def test_contexts_are_listed_without_their_keys(elsewhere, pilot):
    remember(lab="secret-1", shop="secret-2")
    told = pilot("context", "ls")
    assert [line.split() for line in told.out.splitlines()[1:]] == [
        ["*", "lab", "http://lab", "http://lab:2"],
        ["shop", "http://shop", "http://shop:2"],
    ]
    assert "secret" not in told.out + pilot("context", "ls", "-o", "json").out
    assert pilot("context", "ls", "-o", "name").out == "lab\nshop\n"


def test_the_list_says_when_this_folder_comes_first(elsewhere, pilot):
    remember(lab="k")
    file = deployment(elsewhere / ".pilot")
    later = time.time() + 10
    os.utime(file, (later, later))
    assert f"in force here: {file}" in pilot("context", "ls").out


def test_choosing_another(elsewhere, pilot):
    remember(lab="k", shop="s")
    assert pilot("context", "use", "shop").code == 0
    assert server().token.read() == "s"
    assert pilot("context", "use", "nowhere").code == MISSING
    assert server().token.read() == "s"


def test_forgetting(elsewhere, pilot):
    remember(lab="k", shop="s")
    assert pilot("context", "rm", "lab").code == 0
    assert list(stored()["contexts"]) == ["shop"]
    assert "no deployment is known here" in pilot("get", "runs").err
    assert pilot("context", "rm", "lab").code == MISSING


@pytest.mark.parametrize("text", ["[", "1", "contexts: {lab: {url: x}}", "currant: lab"])
def test_a_file_with_a_fault_is_named_and_kept(elsewhere, pilot, text):
    contexts.place().parent.mkdir()
    contexts.place().write_text(text)
    told = pilot("get", "runs")
    assert told.code == 1
    assert f"{contexts.place()} cannot be used" in told.err
    assert contexts.place().read_text() == text


# -- commands that need the state of a deployment


@pytest.mark.parametrize("arguments", [["export", "t", "vqa-1", "--out", "x"], ["clients", "add", "x"]])
def test_a_command_that_needs_this_machines_state_says_so(elsewhere, pilot, logged_in, arguments):
    told = pilot(*arguments)
    assert told.code != 0
    assert "next:" in told.err or "Usage" in told.err
    assert "Traceback" not in told.err
