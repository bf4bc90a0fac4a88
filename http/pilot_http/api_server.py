"""What the services ask a Kubernetes API server: its keys, whether it vouches for a token, and what a pod is."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import jwt

from pilot_http.problems import Unavailable

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S = 5.0
KEYS = "/openid/v1/jwks"
DISCOVERY = "/.well-known/openid-configuration"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
ASYMMETRIC = ("RSA", "EC")


@dataclass(frozen=True)
class Place:
    """Where the API server is, who vouches for it, and as whom we ask."""

    url: str
    ca_file: Path | None
    token_file: Path

    @classmethod
    def of_this_pod(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """As Kubernetes tells every pod.

        Raises:
            ValueError: this is no pod.
        """
        host, port = (environment.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
        if not host or not port:
            raise ValueError("AUTH_MODE asks for a Kubernetes API server, and KUBERNETES_SERVICE_HOST names none")
        return cls(f"https://{f'[{host}]' if ':' in host else host}:{port}", ACCOUNT / "ca.crt", ACCOUNT / "token")


class ApiServer:
    """Every method raises Unavailable when the server does not answer, or does not let us ask."""

    def __init__(self, place: Place) -> None:
        """Raises OSError if the authority's certificates cannot be read."""
        trusted = ssl.create_default_context(cafile=str(place.ca_file)) if place.ca_file else True
        self._http = httpx.Client(base_url=place.url, verify=trusted, timeout=TIMEOUT_S, trust_env=False)
        self._token_file = place.token_file

    def keys(self) -> dict[str, jwt.PyJWK]:
        """The issuer's public keys, by id."""
        found = self._ask("GET", KEYS).json()
        known = [key for key in found.get("keys", []) if key.get("kty") in ASYMMETRIC]
        try:
            return {str(key.key_id): key for key in jwt.PyJWKSet(known).keys}
        except jwt.PyJWTError as error:
            raise Unavailable(f"the API server's keys cannot be used: {error}") from error

    def issuer(self) -> str:
        """What the server calls itself in the tokens that it signs."""
        return str(self._ask("GET", DISCOVERY).json().get("issuer", ""))

    def pod(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The pod, or None if there is none of that name."""
        answer = self._ask("GET", f"/api/v1/namespaces/{namespace}/pods/{name}", allowed=(404,))
        return None if answer.status_code == 404 else answer.json()

    def review(self, token: str, audience: str) -> dict[str, Any]:
        """What the server says of a token: the status of a TokenReview."""
        spec = {"token": token, "audiences": [audience]}
        document = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        status: dict[str, Any] = self._ask("POST", REVIEWS, json=document).json().get("status") or {}
        return status

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def _ask(self, method: str, path: str, allowed: tuple[int, ...] = (), **arguments: Any) -> httpx.Response:
        try:
            # Rotated by the kubelet while we run.
            token = self._token_file.read_text().strip()
            answer = self._http.request(method, path, headers={"Authorization": f"Bearer {token}"}, **arguments)
        except (OSError, httpx.HTTPError) as error:
            raise Unavailable(f"the Kubernetes API server cannot be asked who calls: {error}", "try again") from error
        if answer.is_error and answer.status_code not in allowed:
            detail = f"the Kubernetes API server answers {answer.status_code} to {method} {path}"
            raise Unavailable(detail, "the service's ServiceAccount needs the Role of the chart for it")
        return answer
