"""From an exception to problem+json, in one place. A route never builds an error response."""

import logging
from collections.abc import Iterable, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pilot_proto.problem import FieldError, InvalidDocument, Problem
from starlette.exceptions import HTTPException

log = logging.getLogger(__name__)

DOCS = "https://pilot.invalid/problems/"
"""A problem's type is a name, not a place: `.invalid` never resolves."""


class PilotError(Exception):
    """A fault that a caller can cause or must know of. Subclasses fix `status`, `code` and `title`."""

    status = 500
    code = "internal"
    title = "Internal error"

    def __init__(self, detail: str, hint: str = "", errors: Iterable[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.errors = tuple(errors)
        self.headers: dict[str, str] = {}
        """Response headers that belong to the error."""


class NotFound(PilotError):
    status, code, title = 404, "not_found", "Not found"


class Conflict(PilotError):
    status, code, title = 409, "conflict", "Conflict"


class Invalid(PilotError):
    status, code, title = 422, "invalid", "Invalid request"


class Unauthenticated(PilotError):
    status, code, title = 401, "unauthenticated", "Who are you?"


class Forbidden(PilotError):
    status, code, title = 403, "forbidden", "Not allowed"


class Unavailable(PilotError):
    status, code, title = 503, "unavailable", "Not available now"


def coded(base: type[PilotError], code: str, detail: str, hint: str = "", status: int | None = None) -> PilotError:
    """An error of a family with a code of its own."""
    error = base(detail, hint)
    error.code = code
    if status is not None:
        error.status = status
    return error


def install(app: FastAPI) -> None:
    """Answer every exception with problem+json."""
    app.add_exception_handler(PilotError, pilot_error)
    app.add_exception_handler(InvalidDocument, _invalid_document)
    app.add_exception_handler(RequestValidationError, _request_validation)
    app.add_exception_handler(HTTPException, http_exception)
    app.add_exception_handler(Exception, unexpected)


def respond(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """The response that carries a problem."""
    body = problem.model_copy(update={"instance": request.url.path}).model_dump(mode="json")
    return JSONResponse(body, problem.status, headers, media_type="application/problem+json")


def problem_of(error: PilotError) -> Problem:
    """The document for an error."""
    return Problem(
        type=DOCS + error.code,
        title=error.title,
        status=error.status,
        code=error.code,
        detail=error.detail,
        hint=error.hint,
        errors=error.errors,
    )


def pilot_error(request: Request, error: Exception) -> JSONResponse:
    """The answer to one of our errors."""
    assert isinstance(error, PilotError)
    headers = dict(error.headers)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="Pilot"'
    return respond(request, problem_of(error), headers)


def _invalid_document(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InvalidDocument)
    return respond(request, problem_of(Invalid(f"the {error.what} is not valid", errors=error.errors)))


def _request_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [FieldError(pointer=_pointer(fault["loc"]), message=str(fault["msg"])) for fault in error.errors()]
    return respond(request, problem_of(Invalid("the request is not valid", errors=faults)))


def _pointer(place: Sequence[str | int]) -> str:
    """A JSON pointer into the body; of a parameter, `/query/NAME` or the like."""
    inside = place[1:] if place[0] == "body" else place
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in inside)


def http_exception(request: Request, error: Exception) -> JSONResponse:
    """The answer to what no route takes."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    problem = Problem(
        type=DOCS + code, title=str(error.detail), status=error.status_code, code=code, detail=str(error.detail)
    )
    return respond(request, problem, dict(error.headers or {}))


def unexpected(request: Request, error: Exception) -> JSONResponse:
    """The answer to what nobody foresaw."""
    log.exception("unexpected error at %s %s", request.method, request.url.path, exc_info=error)
    return respond(request, problem_of(PilotError("an unexpected error; the log of this service has the details")))
