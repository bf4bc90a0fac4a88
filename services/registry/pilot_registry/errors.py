"""The registry's own errors, and what the store's and the database's become."""

import errno
import logging

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pilot_http import problems
from pilot_http.problems import PilotError, Unavailable
from sqlalchemy.exc import IntegrityError, OperationalError

from pilot_registry.store.port import BlobMissing, StoreFault, StoreFull

log = logging.getLogger(__name__)

RETRY_AFTER_S = "2"


class Refused(PilotError):
    """Admission refused an upload; `code` says by which rule."""

    status, title = 422, "Upload refused"

    def __init__(self, code: str, detail: str, hint: str = "", status: int = 422) -> None:
        super().__init__(detail, hint)
        self.code = code
        self.status = status


class RoundClosed(PilotError):
    status, code, title = 409, "round_closed", "The round takes no more updates"


class IdleBody(PilotError):
    status, code, title = 408, "idle_body", "The sender fell silent"


class StorageFull(PilotError):
    status, code, title = 507, "storage_full", "No space left"


class StoreUnavailable(PilotError):
    status, code, title = 503, "store_unavailable", "The store cannot be used now"


def install(app: FastAPI) -> None:
    """Answer faults of the disk and the database with problems that say whether to try again."""
    app.add_exception_handler(OSError, _os_error)
    app.add_exception_handler(StoreFault, _store_fault)
    app.add_exception_handler(OperationalError, _database_error)
    # Two writers met where rows cannot be locked because they do not exist yet: the second try sees the first's rows.
    app.add_exception_handler(IntegrityError, _database_error)
    app.add_exception_handler(BlobMissing, _blob_missing)


def _os_error(request: Request, error: Exception) -> JSONResponse:
    log.error("storage fault at %s %s: %s", request.method, request.url.path, error)
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        full = StorageFull("the registry's disk is full", hint="free space or run the garbage collection, then retry")
        return problems.respond(request, problems.problem_of(full))
    return _unavailable(request, "the registry's store cannot be read or written now")


def _store_fault(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StoreFault)
    log.error("store fault at %s %s: %s; %s", request.method, request.url.path, error.detail, error.hint)
    meaning = StorageFull if isinstance(error, StoreFull) else StoreUnavailable
    problem = problems.problem_of(meaning(error.detail, error.hint))
    return problems.respond(request, problem, {"Retry-After": RETRY_AFTER_S})


def _blob_missing(request: Request, error: Exception) -> JSONResponse:
    log.error("the index names bytes that the store has not: %s", error)
    lost = PilotError("the store has lost these bytes", hint="restore the store from its backup")
    return problems.respond(request, problems.problem_of(lost))


def _database_error(request: Request, error: Exception) -> JSONResponse:
    log.error("database fault at %s %s: %s", request.method, request.url.path, error)
    if "full" in str(error):
        full = StorageFull("the registry's disk is full", hint="free space, then retry")
        return problems.respond(request, problems.problem_of(full))
    return _unavailable(request, "the registry's database is busy or away")


def _unavailable(request: Request, detail: str) -> JSONResponse:
    problem = problems.problem_of(Unavailable(detail, hint="try again shortly"))
    return problems.respond(request, problem, {"Retry-After": RETRY_AFTER_S})
