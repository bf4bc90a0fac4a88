"""Whom a ServiceAccount token speaks for: claims and labels in, a decision out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from pilot_http.auth import Principal, RunOfPod

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
"""What API servers sign with. No HMAC, ever: its key would be the one that everybody may read."""
LEEWAY_S = 10
"""Clocks of nodes differ."""
SUBJECT = "system:serviceaccount:"
EXTRA = "authentication.kubernetes.io/"
LABELS = "pilot.federated/"


class Refusal(Exception):
    """Why a token was not believed, for its bearer and for the log."""


@dataclass(frozen=True)
class Trust:
    """Which tokens are meant for us."""

    audience: str
    namespace: str
    """Where trainers run."""


@dataclass(frozen=True)
class Speaker:
    """A ServiceAccount in one pod."""

    account: str
    """NAMESPACE/NAME."""
    pod: str
    pod_uid: str


def claims_of(token: str) -> tuple[str, Mapping[str, Any]]:
    """The key's id and the claims of a token as it came; nothing of it is verified.

    Raises:
        Refusal: it is no token, or is not signed as API servers sign.
    """
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise Refusal(f"it cannot be read: {error}") from error
    if header.get("alg") not in ALGORITHMS:
        raise Refusal(f"it is signed with {header.get('alg')!r}; API servers sign with {', '.join(ALGORITHMS)}")
    return str(header.get("kid", "")), claims


def may_be_ours(claims: Mapping[str, Any], trust: Trust, accounts: Mapping[str, str]) -> None:
    """Refuse, before anybody is asked, what would be refused in the end whatever the answer.

    Raises:
        Refusal: another audience, or nobody whom we know.
    """
    audiences = claims.get("aud")
    if trust.audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise Refusal(f"it is for {audiences!r}, not for {trust.audience!r}")
    check_account(account_of(claims.get("sub")), trust, accounts)


def verified(token: str, key: jwt.PyJWK, issuer: str, trust: Trust) -> Speaker:
    """Who speaks in a token that the issuer has signed with this key.

    Raises:
        Refusal: signature, audience, issuer or time is wrong, or no pod is named.
    """
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            audience=trust.audience,
            issuer=issuer,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iat", "nbf", "iss", "aud", "sub"]},
        )
    except jwt.InvalidTokenError as error:
        raise Refusal(str(error).rstrip(".").lower()) from error
    bound = claims.get("kubernetes.io")
    pod = bound.get("pod") if isinstance(bound, dict) else None
    if not isinstance(pod, dict):
        pod = {}
    return _speaker(account_of(claims["sub"]), pod.get("name"), pod.get("uid"))


def reviewed(status: Mapping[str, Any], trust: Trust) -> Speaker:
    """Who speaks in a token that the API server was asked about (TokenReview).

    Raises:
        Refusal: it does not vouch for the token, or not for our audience, or names no pod.
    """
    if not status.get("authenticated"):
        raise Refusal(f"the API server refuses it: {status.get('error') or 'not authenticated'}")
    # A server that knows no audiences answers without them; then the token may be for anybody.
    if trust.audience not in (status.get("audiences") or []):
        raise Refusal(f"the API server vouches for {status.get('audiences')!r}, not for {trust.audience!r}")
    user = status.get("user") or {}
    extra = user.get("extra") or {}
    pod, uid = ((extra.get(f"{EXTRA}{name}") or [None])[0] for name in ("pod-name", "pod-uid"))
    return _speaker(account_of(user.get("username")), pod, uid)


def account_of(subject: Any) -> str:
    """NAMESPACE/NAME of `system:serviceaccount:NAMESPACE:NAME`.

    Raises:
        Refusal: the subject is no ServiceAccount.
    """
    parts = subject.removeprefix(SUBJECT).split(":") if isinstance(subject, str) else []
    if len(parts) != 2 or not str(subject).startswith(SUBJECT):
        raise Refusal(f"its subject {subject!r} is no ServiceAccount")
    return "/".join(parts)


def check_account(account: str, trust: Trust, accounts: Mapping[str, str]) -> str:
    """The client that a ServiceAccount stands for.

    Raises:
        Refusal: it is of another namespace, or stands for nobody.
    """
    if account.partition("/")[0] != trust.namespace:
        raise Refusal(f"the ServiceAccount {account} is not of the namespace {trust.namespace}, where clients run")
    if account not in accounts:
        raise Refusal(f"the ServiceAccount {account} stands for no client of this federation")
    return accounts[account]


def principal_in(pod: Mapping[str, Any] | None, speaker: Speaker, client: str) -> Principal:
    """The client in its pod, for the run that the pod was made for.

    Raises:
        Refusal: the pod is gone, is another one, or was not made for this client.
    """
    metadata = (pod or {}).get("metadata", {})
    if pod is None or metadata.get("uid") != speaker.pod_uid:
        raise Refusal(f"its pod {speaker.pod} ({speaker.pod_uid}) is gone")
    labels = metadata.get("labels") or {}
    if labels.get(f"{LABELS}client") != client:
        raise Refusal(f"the pod {speaker.pod} is not labelled {LABELS}client: {client}")
    run, uid = (labels.get(f"{LABELS}{name}") for name in ("run", "run-uid"))
    if not run or not uid:
        raise Refusal(f"the pod {speaker.pod} was made for no run: it lacks {LABELS}run or {LABELS}run-uid")
    return Principal("client", client, RunOfPod(run, uid))


def _speaker(account: str, pod: Any, uid: Any) -> Speaker:
    if not (isinstance(pod, str) and pod and isinstance(uid, str) and uid):
        raise Refusal(f"the token of {account} is not bound to a pod; mount it as a projected volume")
    return Speaker(account, pod, uid)
