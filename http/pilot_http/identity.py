"""Who calls, in a cluster: keys for people, ServiceAccount tokens for clients' pods (`AUTH_MODE`).

`jwks`: the issuer's published keys verify a token, and a look at its pod tells whether it still stands.
`token-review`: the API server is asked about each token, and then for its pod. What was found holds for 60 seconds.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

import jwt
import yaml
from fastapi.concurrency import run_in_threadpool
from pilot_proto.problem import InvalidDocument
from pydantic import model_validator
from pydantic_settings import BaseSettings

from pilot_http.api_server import ApiServer, Place
from pilot_http.auth import Authenticator, Door, Keyring, Principal, parse_principal, read_keys
from pilot_http.problems import Unauthenticated
from pilot_http.proxy import Proxy
from pilot_http.reread import Reread
from pilot_http.tokens import Refusal, Speaker, Trust, check_account, claims_of, may_be_ours, principal_in
from pilot_http.tokens import reviewed as reviewed_speaker
from pilot_http.tokens import verified as verified_speaker

log = logging.getLogger(__name__)

Accounts = Callable[[], Mapping[str, str]]
"""NAMESPACE/SERVICEACCOUNT to the client that it stands for, as it is now."""
Seconds = Callable[[], float]

HOLDS_S = 60.0
"""How long a pod that is gone can still speak, at most."""
REFUSED_S = 5.0
KEYS_S = 300.0
"""Keys that the issuer has withdrawn are forgotten after this."""
UNKNOWN_KEY_S = 10.0
"""Between two questions for keys that nobody may have published."""
REMEMBERED = 10_000


class IdentityUnusable(Exception):
    """The settings name nothing by which a caller could be told."""


class IdentitySettings(BaseSettings):
    """How a service tells who calls; the part of its settings that both services share."""

    auth_mode: Literal["keys", "jwks", "token-review"] = "keys"
    """Keys are always good. In a cluster, clients' pods have ServiceAccount tokens beside them."""
    auth_audience: str = "pilot"
    """Whom those tokens must be for."""
    auth_issuer: str = ""
    """Who signs them (`jwks`); empty for what the API server calls itself."""
    auth_service_accounts: Path | None = None
    """YAML: NAMESPACE/SERVICEACCOUNT to client:NAME."""
    auth_namespace: str = ""
    """Where clients' pods run."""
    auth_proxy: Path | None = None
    """YAML: how a proxy that signs people in proves itself, and which group has which role."""

    @model_validator(mode="after")
    def _check_identity(self) -> Self:
        if self.auth_mode != "keys" and not (self.auth_service_accounts and self.auth_namespace):
            raise ValueError(f"AUTH_MODE={self.auth_mode} needs AUTH_SERVICE_ACCOUNTS and AUTH_NAMESPACE")
        return self


def authenticator(settings: IdentitySettings, keys: Path) -> Authenticator:
    """What the settings ask for.

    Raises:
        IdentityUnusable: a file that they name cannot be used, or this is no pod.
    """
    try:
        return _authenticator(settings, keys)
    except (OSError, ValueError, InvalidDocument, yaml.YAMLError) as error:
        raise IdentityUnusable(f"nobody could tell who calls: {error}") from error


def doors(settings: IdentitySettings) -> tuple[Door, ...]:
    """The ways besides a bearer token that the settings open.

    Raises:
        IdentityUnusable: a file that they name cannot be used.
    """
    if settings.auth_proxy is None:
        return ()
    try:
        return (Proxy(settings.auth_proxy),)
    except (OSError, ValueError, InvalidDocument, yaml.YAMLError) as error:
        raise IdentityUnusable(f"the proxy file {settings.auth_proxy} cannot be used: {error}") from error


def _authenticator(settings: IdentitySettings, keys: Path) -> Authenticator:
    known = read_keys(keys)
    if settings.auth_mode == "keys" or settings.auth_service_accounts is None:
        return known
    server = ApiServer(Place.of_this_pod())
    trust = Trust(settings.auth_audience, settings.auth_namespace)
    believe: Believer = Reviews(server, trust)
    if settings.auth_mode == "jwks":
        believe = PublishedKeys(server, trust, settings.auth_issuer)
    return ClusterIdentity(known, Reread(settings.auth_service_accounts, read_accounts), server, trust, believe)


def read_accounts(path: Path) -> dict[str, str]:
    """The clients that ServiceAccounts stand for.

    Raises:
        ValueError: an entry that is not NAMESPACE/SERVICEACCOUNT to client:NAME.
    """
    document = yaml.safe_load(path.read_text()) or {}
    if not isinstance(document, dict):
        raise ValueError(f"{path} must map NAMESPACE/SERVICEACCOUNT to client:NAME")
    found = {}
    for account, text in document.items():
        principal = parse_principal(str(text))
        if principal.client is None or str(account).count("/") != 1:
            raise ValueError(f"{account}: {text} in {path}; write NAMESPACE/SERVICEACCOUNT: client:NAME")
        found[str(account)] = principal.client
    return found


class Believer(Protocol):
    """Whom a token speaks for, if it can be believed; Refusal if not."""

    def __call__(self, token: str, kid: str) -> Speaker: ...


class PublishedKeys:
    """Verifies signatures with the issuer's keys, asking for them again when they are old or one is unknown."""

    def __init__(self, server: ApiServer, trust: Trust, issuer: str = "", clock: Seconds = time.monotonic) -> None:
        self._server = server
        self._trust = trust
        self._issuer = issuer
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked = float("-inf")

    def __call__(self, token: str, kid: str) -> Speaker:
        return verified_speaker(token, self._key(kid), self._issuer, self._trust)

    def _key(self, kid: str) -> jwt.PyJWK:
        with self._lock:
            age = self._clock() - self._asked
            if age > KEYS_S or (kid not in self._keys and age > UNKNOWN_KEY_S):
                if not self._issuer:
                    self._issuer = self._server.issuer()
                self._keys = self._server.keys()
                self._asked = self._clock()
            if kid not in self._keys:
                raise Refusal(f"the issuer has published no key {kid!r}")
            return self._keys[kid]


class Reviews:
    """Asks the API server about each token."""

    def __init__(self, server: ApiServer, trust: Trust) -> None:
        self._server = server
        self._trust = trust

    def __call__(self, token: str, kid: str) -> Speaker:
        return reviewed_speaker(self._server.review(token, self._trust.audience), self._trust)


@dataclass(frozen=True)
class Finding:
    """What became of a token, until when."""

    until: float
    principal: Principal | None
    why: str = ""


class ClusterIdentity:
    """An Authenticator: keys first, then ServiceAccount tokens."""

    def __init__(
        self,
        keys: Keyring,
        accounts: Accounts,
        server: ApiServer,
        trust: Trust,
        believe: Believer,
        clock: Seconds = time.monotonic,
        now: Seconds = time.time,
    ) -> None:
        self._keys = keys
        self._accounts = accounts
        self._server = server
        self._trust = trust
        self._believe = believe
        self._clock = clock
        self._now = now
        self._found: dict[bytes, Finding] = {}

    async def __call__(self, token: str) -> Principal | None:
        """Raises Unauthenticated with the reason, or Unavailable when nobody can tell now."""
        known = self._keys(token)
        if known is not None or token.count(".") != 2:
            return known
        digest = hashlib.sha256(token.encode()).digest()
        found = self._found.get(digest)
        if found is None or found.until <= self._clock():
            found = await run_in_threadpool(self._find, token)
            self._remember(digest, found)
        if found.principal is None:
            raise Unauthenticated(f"the ServiceAccount token was refused: {found.why}")
        return found.principal

    def _find(self, token: str) -> Finding:
        try:
            kid, claims = claims_of(token)
            may_be_ours(claims, self._trust, self._accounts())
            speaker = self._believe(token, kid)
            client = check_account(speaker.account, self._trust, self._accounts())
            principal = principal_in(self._server.pod(self._trust.namespace, speaker.pod), speaker, client)
        except Refusal as refusal:
            log.warning("a ServiceAccount token was refused: %s", refusal)
            return Finding(self._clock() + REFUSED_S, None, str(refusal))
        left = float(claims.get("exp", 0)) - self._now()
        return Finding(self._clock() + max(0.0, min(HOLDS_S, left)), principal)

    def _remember(self, digest: bytes, found: Finding) -> None:
        if len(self._found) >= REMEMBERED:
            now = self._clock()
            kept = {key: old for key, old in self._found.items() if old.until > now}
            self._found = kept if len(kept) < REMEMBERED else {}
        self._found[digest] = found
