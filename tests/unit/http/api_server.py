"""A Kubernetes API server for tests, on loopback: keys, tokens signed with them, pods, and reviews."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pilot_http.api_server import DISCOVERY, KEYS, REVIEWS, Place
from pilot_http.tokens import EXTRA

ISSUER = "https://kubernetes.default.svc.cluster.local"
OWN_TOKEN = "the service's own"


def new_key() -> ec.EllipticCurvePrivateKey:
    """Elliptic curves, because an RSA key takes a second to make."""
    return ec.generate_private_key(ec.SECP256R1())


def part(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


@dataclass
class FakeApiServer:
    """What it knows, and what it was asked."""

    keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=lambda: {"first": new_key()})
    pods: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    refuses: int = 0
    """A status with which everything is answered."""
    audiences: list[str] | None = None
    """What reviews answer for the audience; None: as it should be."""
    url: str = ""

    def add_pod(self, name="pod-1", namespace="clients", uid="uid-1", client="vqa-1", run="t", run_uid="run-1"):
        given = {"client": client, "run": run, "run-uid": run_uid}
        labels = {f"pilot.federated/{key}": value for key, value in given.items() if value}
        self.pods[namespace, name] = {"metadata": {"name": name, "uid": uid, "labels": labels}}

    def claims(self, account="clients/pilot-vqa-1", pod="pod-1", pod_uid="uid-1", **changes: Any) -> dict[str, Any]:
        """What the kubelet asks for in a projected volume."""
        namespace, name = account.split("/")
        now = int(time.time())
        bound = {"namespace": namespace, "serviceaccount": {"name": name, "uid": "sa"}}
        if pod:
            bound["pod"] = {"name": pod, "uid": pod_uid}
        known = {
            "aud": ["pilot"],
            "iss": ISSUER,
            "exp": now + 3600,
            "iat": now,
            "nbf": now,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "kubernetes.io": bound,
        }
        return {key: value for key, value in {**known, **changes}.items() if value is not None}

    def token(self, kid="first", key=None, **changes: Any) -> str:
        """Signed as it should be, unless another key is given."""
        return jwt.encode(self.claims(**changes), key or self.keys[kid], "ES256", headers={"kid": kid})

    def unsigned(self) -> str:
        return f"{part({'alg': 'none', 'kid': 'first', 'typ': 'JWT'})}.{part(self.claims())}."

    def signed_with_the_public_key(self) -> str:
        """HS256 with what everybody may read as its secret."""
        public = self.keys["first"].public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        body = f"{part({'alg': 'HS256', 'kid': 'first', 'typ': 'JWT'})}.{part(self.claims())}"
        signature = hmac.new(pem, body.encode(), hashlib.sha256).digest()
        return f"{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"

    def answer(self, method: str, path: str, body: bytes, authorization: str) -> tuple[int, Any]:
        self.asked.append(f"{method} {path}")
        if authorization != f"Bearer {OWN_TOKEN}":
            return 401, {}
        if self.refuses:
            return self.refuses, {}
        if (method, path) == ("GET", KEYS):
            return 200, {"keys": [self._published(kid, key) for kid, key in self.keys.items()]}
        if (method, path) == ("GET", DISCOVERY):
            return 200, {"issuer": ISSUER}
        if (method, path) == ("POST", REVIEWS):
            return 201, {"status": self._reviewed(json.loads(body)["spec"])}
        _, _, _, _, namespace, _, name = path.split("/")
        pod = self.pods.get((namespace, name))
        return (200, pod) if pod else (404, {"reason": "NotFound"})

    def _published(self, kid: str, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
        document = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {**document, "kid": kid, "alg": "ES256", "use": "sig"}

    def _reviewed(self, spec: dict[str, Any]) -> dict[str, Any]:
        """As the server does: signature, time, audience, and the pod that the token is bound to."""
        try:
            kid = jwt.get_unverified_header(spec["token"])["kid"]
            key = self.keys[kid].public_key()
            claims = jwt.decode(spec["token"], key, ["ES256"], audience=spec["audiences"], issuer=ISSUER)
        except (jwt.InvalidTokenError, KeyError) as error:
            return {"authenticated": False, "error": str(error)}
        bound = claims["kubernetes.io"]
        extra = {}
        if pod := bound.get("pod"):
            found = self.pods.get((bound["namespace"], pod["name"]))
            if found is None or found["metadata"]["uid"] != pod["uid"]:
                return {"authenticated": False, "error": "the pod is gone"}
            extra = {f"{EXTRA}pod-name": [pod["name"]], f"{EXTRA}pod-uid": [pod["uid"]]}
        user = {"username": claims["sub"], "extra": extra}
        audiences = spec["audiences"] if self.audiences is None else self.audiences
        return {"authenticated": True, "user": user, "audiences": audiences}


@contextmanager
def serving(folder: Path) -> Iterator[tuple[FakeApiServer, Place]]:
    """The server at work, and where it is."""
    fake = FakeApiServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, document = fake.answer(self.command, self.path, body, self.headers.get("Authorization", ""))
            raw = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    token = folder / "token"
    token.write_text(OWN_TOKEN + "\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake, Place(f"http://127.0.0.1:{server.server_port}", None, token)
        finally:
            server.shutdown()
            thread.join()
