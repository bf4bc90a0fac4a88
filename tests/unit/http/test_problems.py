"""From an exception to problem+json."""

import asyncio
import logging

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from pilot_http import problems
from pilot_http.app import build
from pilot_proto.base import Request as Document
from pilot_proto.problem import FieldError, InvalidDocument, Problem
from prometheus_client import CollectorRegistry


class Body(Document):
    count: int


def raising(error):
    app = FastAPI()
    problems.install(app)

    @app.get("/things/{thing}")
    def get_thing(thing: str, limit: int = 1) -> str:
        raise error

    @app.post("/things")
    def post_thing(body: Body) -> str:
        return "made"

    return app


def ask(app, method="GET", path="/things/a", **options):
    async def drive():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, **options)

    response = asyncio.run(drive())
    assert response.headers["content-type"] == "application/problem+json"
    return response, Problem.model_validate_json(response.content)


FAMILIES = [
    (problems.NotFound, 404, "not_found"),
    (problems.Conflict, 409, "conflict"),
    (problems.Invalid, 422, "invalid"),
    (problems.Unauthenticated, 401, "unauthenticated"),
    (problems.Forbidden, 403, "forbidden"),
    (problems.Unavailable, 503, "unavailable"),
]


@pytest.mark.parametrize(("family", "status", "code"), FAMILIES)
def test_every_family_has_its_status_and_its_code(family, status, code):
    response, problem = ask(raising(family("there is no a", hint="try b")))
    assert response.status_code == problem.status == status
    assert (problem.code, problem.detail, problem.hint) == (code, "there is no a", "try b")
    assert problem.type.endswith(f"/{code}")
    assert problem.title
    assert problem.instance == "/things/a"


def test_a_code_of_its_own_leaves_the_family_alone():
    error = problems.coded(problems.Conflict, "name_taken", "a exists", "choose another")
    _, problem = ask(raising(error))
    assert (problem.status, problem.code) == (409, "name_taken")
    assert problems.Conflict("x").code == "conflict"


def test_a_status_of_its_own():
    assert ask(raising(problems.coded(problems.Invalid, "too_large", "x", status=413)))[0].status_code == 413


def test_only_who_is_unknown_is_challenged():
    assert "www-authenticate" in ask(raising(problems.Unauthenticated("who?")))[0].headers
    assert "www-authenticate" not in ask(raising(problems.Forbidden("no")))[0].headers


def test_headers_that_belong_to_an_error_are_sent():
    error = problems.Unavailable("full")
    error.headers["Retry-After"] = "5"
    assert ask(raising(error))[0].headers["retry-after"] == "5"


def test_every_fault_of_a_document_is_listed():
    faults = [FieldError(pointer="/spec/a", message="no", hint="b"), FieldError(pointer="/spec/c", message="no")]
    _, problem = ask(raising(InvalidDocument("run", faults)))
    assert (problem.status, problem.code, problem.detail) == (422, "invalid", "the run is not valid")
    assert problem.errors == tuple(faults)


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"path": "/things/a?limit=many"}, "/query/limit"),
        ({"method": "POST", "path": "/things", "json": {"count": "x"}}, "/count"),
        ({"method": "POST", "path": "/things", "json": {"count": 1, "more": 1}}, "/more"),
        ({"method": "POST", "path": "/things", "json": {}}, "/count"),
    ],
)
def test_a_request_that_does_not_fit_the_route(options, pointer):
    _, problem = ask(raising(AssertionError("not reached")), **options)
    assert (problem.status, problem.code) == (422, "invalid")
    assert [e.pointer for e in problem.errors] == [pointer]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("DELETE", "/things", 405, "method_not_allowed")],
)
def test_what_the_framework_refuses_is_a_problem_too(method, path, status, code):
    response, problem = ask(raising(HTTPException(500)), method, path)
    assert (response.status_code, problem.code) == (status, code)


def test_a_method_that_is_not_allowed_says_which_are():
    assert ask(raising(HTTPException(500)), "DELETE", "/things")[0].headers["allow"] == "POST"


def test_an_unexpected_error_tells_its_details_to_the_log_alone(caplog):
    with caplog.at_level(logging.ERROR):
        response, problem = ask(raising(RuntimeError("the password is hunter2")))
    assert (response.status_code, problem.code) == (500, "internal")
    assert "hunter2" not in response.text
    assert "hunter2" in caplog.text


def unready():
    raise OSError("the database is away")


def test_a_service_that_is_not_ready_says_what_is_missing():
    app = build(
        service="registry",
        title="a service",
        authenticate=lambda token: None,
        policy={},
        metrics=CollectorRegistry(),
        ready=unready,
        hosts=["service"],
    )
    _, problem = ask(app, path="/readyz")
    assert (problem.status, problem.detail) == (503, "not ready: the database is away")


def test_a_pointer_into_the_body_is_escaped_as_the_standard_says():
    _, problem = ask(
        raising(AssertionError("not reached")), method="POST", path="/things", json={"count": 1, "a/b~": 1}
    )
    assert [e.pointer for e in problem.errors] == ["/a~1b~0"]
