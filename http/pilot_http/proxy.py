"""A proxy in front of the services that has already asked who somebody is: its word, if it proves itself.

    secretSha256: ...                 sha256 of what the proxy sends as X-Pilot-Proxy-Secret
    userHeader: X-Forwarded-User      whom it names
    groupsHeader: X-Forwarded-Groups  comma separated
    roles: {pilot-admins: admin, pilot-operators: operator, staff: viewer}

Without the secret its headers mean nothing: whoever reaches a service directly could send them. Both services read one
such file, so that the registry can act for a person at the aggregator by sending the same headers on.
"""

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import yaml
from fastapi import Request
from pilot_proto.base import Request as Document
from pilot_proto.problem import validated
from pydantic import Field

from pilot_http.auth import RANK, Credential, Principal
from pilot_http.problems import Forbidden, Unauthenticated, coded
from pilot_http.reread import Reread

SECRET_HEADER = "X-Pilot-Proxy-Secret"
MAX_NAME = 100


class ProxyFile(Document):
    secretSha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    userHeader: str = Field(default="X-Forwarded-User", pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    groupsHeader: str = Field(default="X-Forwarded-Groups", pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    roles: dict[str, Literal["viewer", "operator", "admin"]] = Field(min_length=1)
    """Group to role; a person has the highest of its groups. `*` is everybody whom the proxy lets in."""


class Proxy:
    """A Door."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidDocument, ValueError or OSError: the file cannot be used now."""
        self._known = Reread(path, read_proxy)

    def __call__(self, request: Request) -> Credential | None:
        """Whom the proxy names.

        Raises:
            Unauthenticated: the secret is wrong, or nobody is named.
            Forbidden: `no_role`, none of the person's groups has a role here.
        """
        secret = request.headers.get(SECRET_HEADER)
        if secret is None:
            return None
        known = self._known()
        if not hmac.compare_digest(hashlib.sha256(secret.encode()).hexdigest(), known.secretSha256):
            raise Unauthenticated("the proxy's secret is wrong", hint=f"let it send its own as {SECRET_HEADER}")
        person = _name(request.headers.get(known.userHeader, ""))
        groups = request.headers.get(known.groupsHeader, "")
        role = role_of(known.roles, groups)
        if role is None:
            detail = f"{person!r} has no role here: none of the groups {groups!r} is named"
            raise coded(Forbidden, "no_role", detail, hint="the proxy file gives roles to groups")
        sent = {SECRET_HEADER: secret, known.userHeader: person, known.groupsHeader: groups}
        return Credential(principal=Principal(role, person=person), unasked=True, headers=sent)


def read_proxy(path: Path) -> ProxyFile:
    """The proxy file."""
    return validated(ProxyFile, yaml.safe_load(path.read_text()), "proxy file")


def role_of(roles: Mapping[str, str], groups: str) -> str | None:
    """The highest role of comma separated groups, if there is one."""
    named = {group.strip() for group in groups.split(",")} | {"*"}
    found = [role for group, role in roles.items() if group in named]
    return max(found, key=lambda role: RANK[role], default=None)


def _name(sent: str) -> str:
    name = sent.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise Unauthenticated("the proxy names nobody", hint="let it send who signed in; see the proxy file")
    return name
