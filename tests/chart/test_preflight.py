"""What is wrong with an external store or a database is said before the install, by the name of the value."""

import importlib.util
import sys

import postgres
import pytest
from chart.rendering import CHART, rendered, the
from minio_server import demand_minio, serving


@pytest.fixture(scope="module")
def preflight():
    spec = importlib.util.spec_from_file_location("preflight", CHART / "files" / "preflight.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["preflight"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    demand_minio()
    with serving(tmp_path_factory.mktemp("minio")) as running:
        yield running


@pytest.fixture(scope="module")
def database():
    postgres.demand_postgres()
    with postgres.serving() as running:
        yield running


@pytest.fixture
def told(server, tmp_path, monkeypatch):
    """The environment that the chart gives to the script."""

    def tell(endpoint="", bucket="", secret_key=""):
        (tmp_path / "access").write_text(server.access_key)
        (tmp_path / "secret").write_text(secret_key or server.secret_key)
        environment = {
            "ENDPOINT": endpoint or f"http://{server.endpoint}",
            "BUCKET": bucket or server.bucket(),
            "REGION": "us-east-1",
            "ADDRESSING": "path",
            "ACCESS_KEY_FILE": str(tmp_path / "access"),
            "SECRET_KEY_FILE": str(tmp_path / "secret"),
        }
        for name, value in environment.items():
            monkeypatch.setenv(f"PILOT_REGISTRY_S3_{name}", value)

    return tell


def test_a_store_that_works_has_no_fault_and_nothing_more_in_it(preflight, told, server):
    bucket = server.bucket()
    told(bucket=bucket)
    assert preflight.store_fault() == ""
    assert list(server.client().list_objects(bucket, recursive=True)) == []


def test_wrong_keys_are_the_secrets_fault(preflight, told):
    told(secret_key="nonsense")
    assert preflight.store_fault().startswith("objectStore.existingSecret: http://127.0.0.1")


def test_a_bucket_that_is_not_there_is_named(preflight, told):
    told(bucket="there-is-none")
    assert preflight.store_fault().startswith("objectStore.bucket is 'there-is-none'")


def test_nobody_at_the_address_is_the_endpoints_fault(preflight, told):
    told(endpoint="http://127.0.0.1:9")
    with pytest.raises(preflight.Away, match=r"objectStore\.external\.endpoint is 'http://127\.0\.0\.1:9'"):
        preflight.store_fault()


def test_nothing_is_tried_again_but_what_may_come_later(preflight, told, monkeypatch):
    monkeypatch.setattr(preflight, "PATIENCE_S", 0)
    monkeypatch.setattr(preflight.time, "sleep", lambda _: None)
    told(endpoint="http://127.0.0.1:9")
    assert preflight.patiently(preflight.store_fault).startswith("objectStore.external.endpoint is")
    told(secret_key="nonsense")
    monkeypatch.setattr(preflight, "PATIENCE_S", 3600)
    assert preflight.patiently(preflight.store_fault).startswith("objectStore.existingSecret")


def test_a_database_that_lets_us_in_has_no_fault(preflight, database):
    name = database.create()
    user, password = database.user()
    database.say(f"ALTER DATABASE {name} OWNER TO {user}")
    assert preflight.database_fault("aggregator", database.address(name, user, password)) == ""


def test_a_database_that_refuses_is_the_secrets_fault_and_the_password_is_not_told(preflight, database):
    user, _ = database.user()
    fault = preflight.database_fault("registry", database.address(database.create(), user, "not-it"))
    assert fault.startswith("registry.database.existingSecret: the database postgresql://")
    assert "password authentication failed" in fault
    assert "not-it" not in fault


def test_a_database_in_which_we_may_make_no_tables_is_told_before_the_first_migration(preflight, database):
    user, password = database.user()
    fault = preflight.database_fault("registry", database.address(database.create(), user, password))
    assert "may not make tables there; let it own the database" in fault


def test_a_database_that_does_not_answer_may_do_so_later(preflight):
    with pytest.raises(preflight.Away, match=r"aggregator\.database\.existingSecret: the database"):
        preflight.database_fault("aggregator", "postgresql://a:b@127.0.0.1:9/c")


def test_another_kind_of_database_is_none(preflight):
    assert "is no Postgres" in preflight.database_fault("aggregator", "sqlite:////state/a.sqlite")
    assert "'mysql' is no database that Pilot knows" in preflight.database_fault("aggregator", "mysql://a/b")


def test_one_database_for_both_services_is_a_fault(preflight):
    one, other = "postgresql://a:b@db/pilot", "postgresql://a:b@db/other"
    assert "one database" in preflight.shared_fault({"aggregator": one, "registry": one})
    assert preflight.shared_fault({"aggregator": one, "registry": other}) == ""
    assert preflight.shared_fault({"registry": one}) == ""


def test_every_variable_that_the_script_needs_is_given_to_it():
    job = the(rendered("external"), "Job", "pilot-preflight")
    names = {entry["name"] for entry in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert {"AGGREGATOR_DSN", "REGISTRY_DSN", "PILOT_REGISTRY_S3_ENDPOINT", "PILOT_REGISTRY_S3_PREFIX"} <= names
    assert job["metadata"]["annotations"]["helm.sh/hook-output-log-policy"] == "hook-failed"
    assert not [thing for thing in rendered("default") if thing["metadata"]["name"] == "pilot-preflight"]
