"""Both services on Postgres: the same runs as on SQLite, whoever is killed, and a database that goes and comes back."""

import httpx
import pytest
from deployments import harness, outcome, run_document
from pilot_cli.errors import CommandError
from pilot_proto.boundaries import Boundary

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(postgres_server):
    return postgres_server


def variables(server, aggregator: str, registry: str) -> dict[str, str]:
    return {
        "PILOT_AGGREGATOR_DATABASE_URL": server.url(aggregator),
        "PILOT_REGISTRY_DATABASE": server.url(registry),
    }


@pytest.fixture(scope="module")
def deployed(tmp_path_factory, server):
    folder = tmp_path_factory.mktemp("postgres") / "d"
    with harness(folder, **variables(server, server.create(), server.create())) as made:
        yield made


@pytest.fixture(scope="module")
def undisturbed(deployed):
    run = deployed.run(run_document("undisturbed"))
    assert run.status.phase == "Succeeded", deployed.logs()
    return outcome(deployed, "undisturbed")


def test_a_run_publishes_the_same_as_on_sqlite(tmp_path, undisturbed):
    with harness(tmp_path / "sqlite") as on_sqlite:
        on_sqlite.run(run_document("undisturbed"))
        assert outcome(on_sqlite, "undisturbed") == undisturbed


def test_nothing_of_it_is_in_a_file(deployed, undisturbed):
    assert list(deployed.deployment.state.rglob("*.sqlite*")) == []


@pytest.mark.parametrize(("victim", "boundary"), [("aggregator", Boundary.SEALED), ("registry", Boundary.ONE_FILE_PUT)])
def test_killed_a_run_publishes_the_same(deployed, undisturbed, victim, boundary):
    deployed.arm(boundary)
    name = f"kill-{victim}"
    deployed.aggregator.create_run(run_document(name))
    deployed.eventually(lambda: deployed.stopped_at(boundary))
    deployed.kill(victim)
    deployed.restart(victim)
    deployed.release(boundary)
    assert deployed.wait(name).status.phase == "Succeeded", deployed.logs()
    assert outcome(deployed, name) == undisturbed


def readiness(deployed, service: str) -> httpx.Response:
    place = deployed.deployment
    url = place.registry_url if service == "registry" else place.aggregator_url
    return httpx.get(f"{url}/readyz", timeout=20)


def test_a_database_that_goes_is_named_and_the_run_goes_on_when_it_is_back(deployed, undisturbed, server):
    deployed.aggregator.create_run(run_document("away", advance="manual"))
    deployed.eventually(lambda: deployed.aggregator.run("away").status.published == 0)
    server.stop()
    try:
        for service in ("registry", "aggregator"):
            answer = readiness(deployed, service)
            assert answer.status_code == 503
            assert answer.json()["detail"].startswith("not ready: the database postgresql://postgres@/")
            assert "cannot be used" in answer.json()["detail"]
            assert "\n" not in answer.json()["detail"]
    finally:
        server.start()
    deployed.aggregator.trigger("away", "end")
    assert deployed.wait("away").status.phase == "Succeeded", deployed.logs()
    assert outcome(deployed, "away") == undisturbed


@pytest.mark.parametrize("refused", ["PILOT_REGISTRY_DATABASE", "PILOT_AGGREGATOR_DATABASE_URL"])
def test_a_service_whose_database_refuses_says_so_and_does_not_start(tmp_path, server, refused):
    user, _ = server.user()
    address = {refused: server.address("postgres", user, "not-this-one")}
    with pytest.raises(CommandError) as caught, harness(tmp_path / "d", **address):
        raise AssertionError("it started")
    said = caught.value.why.splitlines()[-1]
    assert said.endswith(
        f"{refused}: the database postgresql://{user}:***@127.0.0.1:{server.port}/postgres cannot be used: "
        f'password authentication failed for user "{user}"; check the user and the password in its address'
    )


def test_both_services_in_one_database_are_refused(tmp_path, server):
    shared = server.create()
    with pytest.raises(CommandError) as caught, harness(tmp_path / "d", **variables(server, shared, shared)):
        raise AssertionError("it started")
    assert "give each service a database of its own" in caught.value.why
