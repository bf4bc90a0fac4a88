"""The cluster's own API, and what it says of pods as it happens."""

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml

OURS = "pilot.federated/run-uid"
WATCH_S = 600
REST_S = 0.2
Pod = dict[str, Any]


def api_server(kubeconfig: Path, folder: Path) -> httpx.Client:
    """The cluster's API, as the kubeconfig's user."""
    known = yaml.safe_load(kubeconfig.read_text())
    files = {}
    for part, name in (("certificate-authority", "clusters"), ("client-certificate", "users"), ("client-key", "users")):
        entry = known[name][0][name.removesuffix("s")]
        files[part] = Path(entry[part]) if part in entry else folder / part
        if part not in entry:
            files[part].write_bytes(base64.b64decode(entry[f"{part}-data"]))
    trusted = ssl.create_default_context(cafile=str(files["certificate-authority"]))
    trusted.load_cert_chain(files["client-certificate"], files["client-key"])
    return httpx.Client(base_url=known["clusters"][0]["cluster"]["server"], verify=trusted, timeout=60)


def events(api: httpx.Client, namespace: str, stopping: threading.Event) -> Iterator[tuple[str, Pod]]:
    """What becomes of trainers' pods, with the kind of event, until somebody wants to stop."""
    selector = {"labelSelector": OURS, "watch": "true", "timeoutSeconds": str(WATCH_S)}
    while not stopping.is_set():
        try:
            with api.stream("GET", path(namespace), params=selector, timeout=None) as stream:
                for line in stream.iter_lines():
                    event = json.loads(line)
                    if stopping.is_set() or event["type"] == "ERROR":
                        break
                    yield event["type"], event["object"]
        except httpx.HTTPError:
            time.sleep(REST_S)


def path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"
