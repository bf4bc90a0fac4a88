"""The keys of a local deployment."""

import stat

import yaml
from pilot_cli.local.keys import ensure_keys
from pilot_http.auth import Principal, read_keys

CLIENTS = ("vqa-1", "vqa-2")
EVERYBODY = {
    "viewer.key": Principal("viewer"),
    "operator.key": Principal("operator"),
    "admin.key": Principal("admin"),
    "aggregator.key": Principal("aggregator"),
    "clients/vqa-1.key": Principal("client", "vqa-1"),
    "clients/vqa-2.key": Principal("client", "vqa-2"),
    "clients/base.key": Principal("client", "base"),
}


def keys_in(folder):
    return {name: (folder / name).read_text() for name in EVERYBODY}


def test_everybody_gets_a_key_of_their_own_that_the_services_know(tmp_path):
    authenticate = read_keys(ensure_keys(tmp_path, CLIENTS))
    keys = keys_in(tmp_path)
    assert len(set(keys.values())) == len(EVERYBODY)
    assert {name: authenticate(key) for name, key in keys.items()} == EVERYBODY


def test_keys_are_their_owners_alone_and_the_file_of_hashes_holds_none(tmp_path):
    file = ensure_keys(tmp_path, CLIENTS)
    for name, key in keys_in(tmp_path).items():
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert key not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_second_start_keeps_the_keys_and_adds_the_new_clients(tmp_path):
    ensure_keys(tmp_path, CLIENTS)
    before = keys_in(tmp_path)
    authenticate = read_keys(ensure_keys(tmp_path, (*CLIENTS, "cap-1")))
    assert keys_in(tmp_path) == before
    assert authenticate((tmp_path / "clients" / "cap-1.key").read_text()) == Principal("client", "cap-1")


def test_a_key_that_was_lost_is_made_again_and_the_old_one_is_worth_nothing(tmp_path):
    ensure_keys(tmp_path, CLIENTS)
    lost = (tmp_path / "viewer.key").read_text()
    (tmp_path / "viewer.key").unlink()
    file = ensure_keys(tmp_path, CLIENTS)
    assert read_keys(file)((tmp_path / "viewer.key").read_text()) == Principal("viewer")
    assert read_keys(file)(lost) is None
    assert len(yaml.safe_load(file.read_text())["keys"]) == len(EVERYBODY)
