"""Signing in with a key, signing out, and the files that every page loads."""

import inspect
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pilot_http.auth import Authenticator
from pilot_http.origin import check_same_site
from pilot_http.problems import NotFound

from pilot_registry.context import InRegistry
from pilot_registry.ui import assets
from pilot_registry.ui.page import SECURITY, Notice, Page, show
from pilot_registry.ui.signins import SignIns

router = APIRouter(include_in_schema=False)

HOME = "/ui"
MAX_FORM_BYTES = 4096
FOREVER = "public, max-age=31536000, immutable"


class LoginPage(Page):
    title: str = "Sign in"
    next: str = HOME
    """Where to go then; a page of ours."""


@router.get("/ui/login")
def login_page(request: Request) -> Response:
    """The form."""
    return show(request, "login.html", LoginPage(next=ours(request.query_params.get("next", HOME))))


@router.post("/ui/login")
async def login(request: Request, registry: InRegistry) -> Response:
    """Take a key, and put it into the cookie if somebody has it."""
    # No credential came along yet, so the guard has not looked; nobody may sign a reader in from elsewhere either.
    check_same_site(request)
    form = await read_form(request)
    key, next_page = form.get("key", "").strip(), ours(form.get("next", HOME))
    authenticate: Authenticator = request.app.state.authenticate
    found = authenticate(key)
    principal = await found if inspect.isawaitable(found) else found
    if principal is None or not principal.at_least("viewer"):
        why = (
            "Nobody has this key." if principal is None else f"{principal} is no person: use a viewer's key or higher."
        )
        notice = Notice(tone="bad", text=why)
        return show(request, "login.html", LoginPage(next=next_page, notices=(notice,)), 401)
    answer = RedirectResponse(next_page, 303, SECURITY)
    signins(request).begin(request, answer, key)
    return answer


@router.post("/ui/logout")
def logout() -> Response:
    """Forget the key."""
    answer = RedirectResponse("/ui/login", 303, SECURITY)
    SignIns.end(answer)
    return answer


@router.get("/ui/static/{name}")
def static(name: str, request: Request) -> Response:
    """A file of the wheel, by the name that its digest gives it."""
    found = assets.find(name)
    if found is None:
        raise NotFound(f"there is no file {name!r}")
    headers = {**SECURITY, "Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=found.media_type)
    return Response(found.body, headers=headers, media_type=found.media_type)


def signins(request: Request) -> SignIns:
    """Where keys are sealed."""
    known: SignIns = request.app.state.signins
    return known


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a small form; of a field that came twice, the last."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            return {}
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[-1] for name, values in fields.items()}


def ours(place: str) -> str:
    """A place to go to, if it is a page of this service; else the first one."""
    parts = urlsplit(place)
    fine = not parts.scheme and not parts.netloc and parts.path.startswith("/ui") and "\\" not in place
    return place if fine and place.isprintable() else HOME
