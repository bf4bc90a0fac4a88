"""Errors on the way to a page, as a page: what went wrong, what to do, and the name that the logs have for it."""

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from pilot_registry.ui.near import near_names
from pilot_registry.ui.page import Crumb, Page, show, wants_json

Handler = Callable[[Request, Exception], Response | Awaitable[Response]]
PAGES = "/ui"
LOGIN = "/ui/login"


class ErrorPage(Page):
    status: int
    code: str
    detail: str
    hint: str = ""
    near: tuple[Crumb, ...] = ()
    """What may have been meant."""
    request_id: str = ""


def install(app: FastAPI) -> None:
    """Let every problem on the way to a page become one. After all other handlers have been added."""
    for kind, handler in list(app.exception_handlers.items()):
        app.add_exception_handler(kind, _paged(handler))


def _paged(handler: Any) -> Handler:
    async def handle(request: Request, error: Exception) -> Response:
        made = handler(request, error)
        response: Response = await made if inspect.isawaitable(made) else made
        if not request.url.path.startswith(PAGES) or wants_json(request):
            return response
        return _page(request, response)

    return handle


def _page(request: Request, response: Response) -> Response:
    if response.status_code == 401:
        return RedirectResponse(f"{LOGIN}?next={quote(_here(request))}", 303)
    problem = json.loads(bytes(response.body))
    page = ErrorPage(
        title=problem["title"] or "Something went wrong",
        status=problem["status"],
        code=problem["code"],
        detail=problem["detail"],
        hint=problem.get("hint", ""),
        near=near_names(request) if response.status_code == 404 else (),
        request_id=getattr(request.state, "request_id", ""),
    )
    shown = show(request, "error.html", page, response.status_code)
    if retry := response.headers.get("retry-after"):
        shown.headers["Retry-After"] = retry
    return shown


def _here(request: Request) -> str:
    """Where to come back to: a page that only shows something."""
    if request.method != "GET":
        return PAGES
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
