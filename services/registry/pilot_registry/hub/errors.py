"""Errors in the Hub's words, beside ours: clients of the Hub read headers and know no problem+json."""

import re

from fastapi import FastAPI, Request, Response
from pilot_http import problems
from pilot_http.problems import PilotError
from starlette.exceptions import HTTPException

HUB_PATH = re.compile(r"^/api/(?:models|datasets|spaces)/|^/[^/]+(?:/[^/]+)?/resolve/")
CODE_HEADER, MESSAGE_HEADER = "X-Error-Code", "X-Error-Message"
NO_REPOSITORY = "RepoNotFound"


def install(app: FastAPI) -> None:
    """Add the Hub's headers to the errors of the Hub's routes."""
    app.add_exception_handler(PilotError, _pilot_error)
    app.add_exception_handler(HTTPException, _no_route)


def _pilot_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PilotError)
    if HUB_PATH.match(request.url.path):
        error.headers.setdefault(MESSAGE_HEADER, header_text(f"{error.detail}; {error.hint}".removesuffix("; ")))
        if error.status == 401:
            # To a caller without a key nothing is here, and its client knows a class of error for that.
            error.headers.setdefault(CODE_HEADER, NO_REPOSITORY)
    return problems.pilot_error(request, error)


def _no_route(request: Request, error: Exception) -> Response:
    """A repository without a namespace, a data set: what clients may ask for and a registry of runs never has."""
    response = problems.http_exception(request, error)
    if response.status_code == 404 and HUB_PATH.match(request.url.path):
        response.headers.setdefault(CODE_HEADER, NO_REPOSITORY)
    return response


def header_text(text: str) -> str:
    """Text as a header may hold it: printable ASCII on one line."""
    return text.encode("unicode_escape").decode("ascii")
