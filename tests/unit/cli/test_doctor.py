"""`pilot doctor`: what it says of a deployment, here and elsewhere."""

import pytest


def test_of_a_deployment_elsewhere_this_machine_needs_no_services(pilot, deployed):
    deployed.registry.tells("//readyz", b'{"status": "ready"}')
    told = pilot("doctor")
    assert told.code == 0, told.out
    assert "pilot_aggregator" not in told.out
    assert "federation: in force" in told.out


def test_a_key_that_is_not_known_there_is_read_again_from_there(pilot, deployed, monkeypatch):
    monkeypatch.setenv("PILOT_TOKEN", "nobody")
    told = pilot("doctor")
    assert told.code == 1
    assert "your key: HTTP 401" in told.out
    assert "helm get notes RELEASE" in told.out


def test_a_federation_that_is_not_in_force_is_told_with_its_fault(pilot, deployed, tmp_path):
    deployed.registry.tells("//readyz", b'{"status": "ready"}')
    (tmp_path / "federation.yaml").write_text("clients: [")
    told = pilot("doctor")
    assert told.code == 1
    assert "federation: " in told.out
    assert "'helm upgrade'" in told.out


@pytest.mark.parametrize("answer", [b"<html>", b"[]"])
def test_whoever_else_answers_is_no_service(pilot, deployed, answer):
    deployed.registry.tells("//readyz", answer)
    told = pilot("doctor")
    assert told.code == 1
    assert "HTTP 200, and no answer of a service of Pilot" in told.out


def test_where_nobody_answers_the_way_there_is_looked_at(pilot, deployed, monkeypatch):
    monkeypatch.setenv("PILOT_REGISTRY_URL", "http://127.0.0.1:9")
    told = pilot("doctor")
    assert told.code == 1
    assert "kubectl get pods" in told.out
