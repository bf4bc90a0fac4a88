"""A Postgres that cannot be used: one sentence says which, why and what to do, and never the password."""

import re

import pytest
from pilot_disk.database import check, connect
from pilot_disk.faults import DatabaseUnusable


@pytest.fixture
def server(postgres_server):
    return postgres_server


def refusal(url):
    engine = connect(url)
    try:
        with pytest.raises(DatabaseUnusable) as caught:
            check(engine)
    finally:
        engine.dispose()
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_a_right_password_is_let_in(server):
    engine = connect(server.address("postgres", *server.user()))
    check(engine)
    engine.dispose()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_a_wrong_password(server, scheme):
    user, _ = server.user()
    url = re.sub("^postgresql", scheme, server.address("postgres", user, "not-this-one"))
    assert refusal(url) == (
        f"the database postgresql://{user}:***@127.0.0.1:{server.port}/postgres cannot be used: "
        f'password authentication failed for user "{user}"; check the user and the password in its address'
    )


def test_a_database_that_does_not_exist(server):
    said = refusal(server.address("nowhere", *server.user()))
    assert said.endswith('database "nowhere" does not exist; create it first: CREATE DATABASE NAME')


def test_a_server_that_is_down(server):
    said = refusal("postgresql://pilot:secret@127.0.0.1:1/pilot")
    assert said.startswith("the database postgresql://pilot:***@127.0.0.1:1/pilot cannot be used: connection failed")
    assert said.endswith("Connection refused; is it running, and can it be reached from here?")


def test_a_server_without_the_encryption_that_was_demanded(server):
    said = refusal(server.address("postgres", *server.user()) + "?sslmode=require")
    assert said.endswith("SSL was required; let the server offer TLS, or take sslmode out of its address")


def test_a_database_that_is_somebody_elses(server):
    from pilot_disk.database import upgrade
    from pilot_registry.database import LANDMARK, MIGRATIONS

    name = server.create()
    engine = connect(server.address(name, *server.user()))
    with pytest.raises(DatabaseUnusable, match="permission denied for schema public; let the user own the database"):
        upgrade(engine, MIGRATIONS, LANDMARK)
    engine.dispose()
    server.drop(name)


def test_a_connection_that_was_cut_is_replaced_by_the_next_question(server):
    engine = connect(server.url("postgres"))
    check(engine)
    server.say("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    check(engine)
    engine.dispose()
