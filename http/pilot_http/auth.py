"""Who calls, and may they? Deny by default: a route that is missing from its service's table is refused.

Keys are 256 random bits, kept only as sha256 (a fast hash is right for keys nobody chose); one read-only file of
them serves both services, which read it again when it has changed.
"""

import hashlib
import hmac
import inspect
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import yaml
from fastapi import Depends, FastAPI, Request
from fastapi.routing import APIRoute, iter_route_contexts
from pilot_proto.base import Request as Document
from pilot_proto.base import Seq
from pilot_proto.problem import validated

from pilot_http.origin import check_same_site
from pilot_http.problems import Forbidden, Unauthenticated
from pilot_http.reread import Reread

Access = Literal["public", "viewer", "operator", "admin", "client", "aggregator", "anyone"]
"""Who may use a route: `client` is the client named in the path, `anyone` whoever has a key; the route looks closer."""

RANK = {"viewer": 1, "operator": 2, "admin": 3}
ROLES = {*RANK, "aggregator", "client"}

PolicyTable = Mapping[tuple[str, str], frozenset[Access]]
"""(method, path template) to who may."""


@dataclass(frozen=True)
class RunOfPod:
    """The run that a pod was made for, as its labels say."""

    name: str
    uid: str


@dataclass(frozen=True)
class Principal:
    """Somebody with a key. `role` is viewer, operator, admin, aggregator or client; a client has a name."""

    role: str
    client: str | None = None
    run: RunOfPod | None = field(default=None, compare=False)
    """Whose pod speaks, where a client in a cluster does: it may act for that run only."""
    person: str | None = None
    """Who it is, where somebody else than a key has told: a proxy in front of the services."""

    def __str__(self) -> str:
        name = self.client or self.person
        return f"{self.role}:{name}" if name else self.role

    def at_least(self, role: str) -> bool:
        """Whether a person's role reaches `role`."""
        return RANK.get(self.role, 0) >= RANK[role]


class KeyEntry(Document):
    principal: str
    """`viewer`, `operator`, `admin`, `aggregator` or `client:NAME`."""
    sha256: str


class KeyFile(Document):
    keys: Seq[KeyEntry]


@dataclass(frozen=True)
class Credential:
    """What a request brings to show who sent it."""

    token: str = ""
    """For the Authenticator."""
    principal: Principal | None = None
    """Where whoever brought it has said already who it is."""
    unasked: bool = False
    """A browser sends it along with every request, whichever page that comes from."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What to send to another service that is to act for the same person."""


Door = Callable[[Request], Credential | None]
"""One way to bring a credential; None when the request did not come that way."""

Keyring = Callable[[str], Principal | None]
"""A key to its principal."""
Authenticator = Callable[[str], Principal | Awaitable[Principal | None] | None]
"""A bearer token to its principal, now or, where somebody else has to be asked, later."""


def read_keys(path: Path) -> Keyring:
    """An authenticator over a key file, which is read again when it has changed.

    Raises:
        InvalidDocument, ValueError, OSError: the file cannot be used now. Later, the keys before it stay good.
    """
    known = Reread(path, _principals)

    def authenticate(token: str) -> Principal | None:
        presented = hashlib.sha256(token.encode()).hexdigest()
        found = None
        for stored, principal in known().items():
            if hmac.compare_digest(stored, presented):
                found = principal
        return found

    return authenticate


def _principals(path: Path) -> dict[str, Principal]:
    """By the sha256 of the key."""
    document = validated(KeyFile, yaml.safe_load(path.read_text()), "key file")
    return {entry.sha256: parse_principal(entry.principal) for entry in document.keys}


def parse_principal(text: str) -> Principal:
    """`client:vqa-1` or a role.

    Raises:
        ValueError: a role that does not exist; such a key would be refused everywhere, and nobody would know why.
    """
    role, _, client = text.partition(":")
    if (role == "client") != bool(client) or role not in ROLES:
        raise ValueError(f"{text!r} is no principal; use {', '.join(sorted(ROLES - {'client'}))} or client:NAME")
    return Principal(role, client or None)


def new_key() -> tuple[str, str]:
    """A fresh key and its sha256."""
    key = "pilot_" + secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()


def principal_of(request: Request) -> Principal:
    """The caller, as `install` found it."""
    principal: Principal = request.state.principal
    return principal


Caller = Annotated[Principal, Depends(principal_of)]


def credential_of(request: Request) -> Credential:
    """What the caller brought, as `guard` found it."""
    credential: Credential = request.state.credential
    return credential


def guard(
    authenticate: Authenticator, policy: PolicyTable, doors: Sequence[Door] = ()
) -> Callable[[Request], Awaitable[None]]:
    """The dependency that every route gets: authenticate, look the route up, decide.

    `doors` are tried in their order where no bearer token came.
    """

    async def check(request: Request) -> None:
        route = request.scope["route"]
        allowed = policy.get((request.method, route.path), frozenset())
        if "public" in allowed:
            request.state.principal = Principal("nobody")
            return
        brought = (door(request) for door in (bearer, *doors))
        credential = next((each for each in brought if each is not None), Credential())
        if credential.unasked:
            check_same_site(request)
        found = credential.principal or authenticate(credential.token)
        principal = await found if inspect.isawaitable(found) else found
        if principal is None:
            raise Unauthenticated(
                "no valid key came with the request",
                hint="send 'Authorization: Bearer KEY'; `pilot up` prints where the keys are",
            )
        request.state.principal = principal
        request.state.credential = credential
        if not permitted(principal, allowed, request.path_params.get("client")):
            who = ", ".join(sorted(allowed)) or "nobody"
            raise Forbidden(f"{principal} may not {request.method} {route.path}", hint=f"allowed: {who}")
        _check_run(principal, request)

    return check


def _check_run(principal: Principal, request: Request) -> None:
    """A pod of one run writes nothing into another; what it may read of others is a matter of its client's grants."""
    if principal.run is None:
        return
    name = request.path_params.get("run")
    uid = request.path_params.get("uid") or request.query_params.get("uid")
    if name not in (None, principal.run.name) or uid not in (None, principal.run.uid):
        detail = f"the pod of {principal} was made for the run {principal.run.name}, and this is another"
        raise Forbidden(detail, hint="a client acts for a run from that run's own pods")


def permitted(principal: Principal, allowed: frozenset[Access], client_in_path: str | None) -> bool:
    """Whether a principal is among those a route allows."""
    if "anyone" in allowed:
        return True
    if principal.role == "client":
        return "client" in allowed and principal.client == client_in_path
    if principal.role == "aggregator":
        return "aggregator" in allowed
    return any(principal.at_least(role) for role in allowed if role in RANK)


def unlisted(app: FastAPI, policy: PolicyTable) -> set[tuple[str, str]]:
    """Routes that the table does not know; a test keeps this empty."""
    routes = {
        (method, context.path or "")
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute)
        for method in context.methods or set()
    }
    return routes - set(policy)


def bearer(request: Request) -> Credential | None:
    """`Authorization: Bearer KEY`, which only a program sends."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    return Credential(value.strip(), headers={"Authorization": f"Bearer {value.strip()}"})
