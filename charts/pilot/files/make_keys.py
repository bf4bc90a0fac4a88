"""Makes the Secrets that are missing; those that exist stay. A Job runs this before an install and before an upgrade.

Creating is all that it may do: it never learns what a Secret holds that is there already.
"""

import hashlib
import json
import os
import secrets
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
ROLES = ("admin", "aggregator", "operator", "viewer")
CONFLICT = 409


def main() -> int:
    """The exit code: 1 when a Secret could not be made."""
    for wanted in os.environ["SECRETS"].split():
        kind, _, name = wanted.partition("=")
        try:
            create(name, of_keys() if kind == "keys" else of_object_store())
        except urllib.error.HTTPError as error:
            if error.code != CONFLICT:
                print(f"the Secret {name} was not made: {error.code} {error.read().decode()}", file=sys.stderr)
                return 1
            print(f"the Secret {name} is there and stays as it is")
        else:
            print(f"made the Secret {name}")
    return 0


def of_keys() -> dict[str, str]:
    """New keys, and the file of their hashes (JSON is YAML)."""
    keys = {role: f"pilot_{secrets.token_urlsafe(32)}" for role in ROLES}
    hashes = [{"principal": role, "sha256": hashlib.sha256(key.encode()).hexdigest()} for role, key in keys.items()]
    return {f"{role}.key": key for role, key in keys.items()} | {"keys.yaml": json.dumps({"keys": hashes})}


def of_object_store() -> dict[str, str]:
    """New credentials of the embedded store."""
    return {"access-key": secrets.token_hex(10), "secret-key": secrets.token_hex(20)}


def create(name: str, data: dict[str, str]) -> None:
    """Ask the API server. The labels and annotations let a later release own it, should it generate keys by itself."""
    namespace, release = os.environ["NAMESPACE"], os.environ["RELEASE"]
    owner = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
    metadata = {
        "name": name,
        "labels": {
            "app.kubernetes.io/managed-by": "Helm",
            "app.kubernetes.io/instance": release,
            "app.kubernetes.io/part-of": "pilot",
        },
        "annotations": {"helm.sh/resource-policy": "keep", **owner},
    }
    document = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": data}
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    request = urllib.request.Request(
        f"https://{f'[{host}]' if ':' in host else host}:{port}/api/v1/namespaces/{namespace}/secrets",
        data=json.dumps(document).encode(),
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": "application/json"},
    )
    trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, context=trusted, timeout=30):
        pass


if __name__ == "__main__":
    sys.exit(main())
