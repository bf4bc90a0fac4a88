"""`helm test`: are both services well, is the federation known, does a file go through the registry to the store?"""

import hashlib
import json
import os
import random
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

KEYS = Path("/etc/pilot/keys")
PREFIX = "/api/v1alpha1"
RUN = "helm-test"
PATIENCE_S = 120
AGGREGATOR, REGISTRY = os.environ["PILOT_AGGREGATOR_URL"], os.environ["PILOT_REGISTRY_URL"]


def main() -> int:
    """The exit code: 1 at the first thing that is not as it should be."""
    try:
        for service in (AGGREGATOR, REGISTRY):
            wait_ready(service)
            print(f"ok  {service} is live and ready")
        check_federation()
        check_refusal()
        check_store()
    except (AssertionError, OSError) as error:
        print(f"FAILED  {error}")
        return 1
    return 0


def wait_ready(service: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            call("GET", f"{service}/livez")
            call("GET", f"{service}/readyz")
            return
        except (AssertionError, OSError) as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"{service} is not ready after {PATIENCE_S} s: {error}") from error
            time.sleep(2)


def check_federation() -> None:
    """The viewer's key opens the door, and what the values say has arrived."""
    known = json.loads(call("GET", f"{AGGREGATOR}{PREFIX}/federation", key="viewer"))
    assert not known["status"]["error"], known["status"]["error"]
    found = sorted(client["name"] for client in known["spec"]["clients"])
    wanted = sorted(json.loads(os.environ["CLIENTS"]))
    assert found == wanted, f"the aggregator knows the clients {found}; the values name {wanted}"
    print(f"ok  the federation has {len(found)} clients")


def check_refusal() -> None:
    """Without a key nobody gets in."""
    try:
        call("GET", f"{AGGREGATOR}{PREFIX}/federation")
    except AssertionError as refusal:
        if " 401 " not in str(refusal):
            raise
        print("ok  a request without a key is refused")
    else:
        raise AssertionError("the aggregator answered a request without a key")


def check_store() -> None:
    """A grant and a file, as the aggregator; then the admin's check reads the store back. The next garbage collection
    takes the file away."""
    number = random.randrange(1_000_000)
    grant = {
        "schema_version": "pilot/v1",
        "uid": RUN,
        "run": RUN,
        "round": number,
        "client": "base",
        "task": "base",
        "program": "prepare",
        "assignment": f"sha256:{'0' * 64}",
        "kinds": [],
    }
    before = check()
    call("PUT", f"{REGISTRY}{PREFIX}/grants/{RUN}/{number}/base", grant, key="aggregator")
    file = json.dumps({"test": os.urandom(16).hex()}).encode()
    digest = f"sha256:{hashlib.sha256(file).hexdigest()}"
    query = f"digest={digest}&uid={RUN}&round={number}&kind=update"
    call("PUT", f"{REGISTRY}{PREFIX}/files?{query}", file, key="aggregator")
    call("DELETE", f"{REGISTRY}{PREFIX}/grants/{RUN}", key="aggregator")
    after = check()
    assert after["blobs"] > before["blobs"], f"the store has {after['blobs']} files, as before the upload"
    assert after["records"] > before["records"], "the store got no record of the grant"
    assert after["ok"], f"the registry's check finds faults: {after['faults']}"
    print(f"ok  a file and its records went through the registry into the store ({after['blobs']} files there)")


def check() -> dict[str, Any]:
    report: dict[str, Any] = json.loads(call("GET", f"{REGISTRY}{PREFIX}/admin/check?deep=true", key="admin"))
    return report


def call(method: str, url: str, body: object = None, key: str = "") -> bytes:
    """The answer's body.

    Raises:
        AssertionError: the service refused, with its words.
        OSError: it cannot be reached.
    """
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    if data is not None:
        request.add_header(
            "Content-Type", "application/octet-stream" if isinstance(body, bytes) else "application/json"
        )
    if key:
        request.add_header("Authorization", f"Bearer {(KEYS / f'{key}.key').read_text().strip()}")
    trusted = ssl.create_default_context()
    try:
        with urllib.request.urlopen(request, context=trusted, timeout=30) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {url} was answered with {error.code} {error.read().decode()}") from error


if __name__ == "__main__":
    sys.exit(main())
