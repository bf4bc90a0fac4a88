"""As much of the Kubernetes API as the aggregator uses, over real HTTP on the loopback, with faults on demand."""

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import yaml

NAMESPACE = "trainers"


@dataclass
class Fault:
    """What becomes of the next request of a method to a kind of object."""

    method: str
    plural: str
    status: int = 0
    """0 drops the connection."""
    message: str = "as asked"
    headers: dict[str, str] = field(default_factory=dict)
    carried_out: bool = False
    """Whether the request takes effect, and only its answer is lost."""


class KubeApi:
    """Objects, their history, and who follows them."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, dict]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """Method, kind (with `?watch` where it is one) and query of each."""
        self.faults: list[Fault] = []
        self.error_events: list[dict] = []
        """Each is sent once, as an ERROR, on the next watch that is opened."""
        self.refuse: Callable[[str, dict], tuple[int, str, str] | None] = lambda plural, thing: None
        """Admission: (status, reason, message) for an object that may not be."""
        self.logs: dict[str, str] = {}
        self.oldest = 0
        """Versions before this one are forgotten."""
        self._version = 100
        self._history: list[tuple[int, str, dict]] = []
        self._changed = threading.Condition()
        self._epoch = 0
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"api": self}))
        server.daemon_threads = True
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def kubeconfig(self, folder: Path) -> Path:
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": {}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        }
        file = folder / "kubeconfig"
        file.write_text(yaml.safe_dump(document))
        return file

    def close(self) -> None:
        self.drop_watches()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- what a test does to the cluster

    def put(self, plural: str, thing: dict) -> dict:
        """Make or change an object, as a controller does."""
        with self._changed:
            known = self.objects.setdefault(plural, {})
            name = thing["metadata"]["name"]
            kind = "MODIFIED" if name in known else "ADDED"
            identity = {"uid": known[name]["metadata"]["uid"] if name in known else uuid.uuid4().hex}
            self._version += 1
            metadata = {**identity, **thing["metadata"], "resourceVersion": str(self._version)}
            known[name] = made = {**thing, "metadata": metadata}
            self._note(plural, kind, made)
            return made

    def remove(self, plural: str, name: str) -> None:
        with self._changed:
            self._version += 1
            self._note(plural, "DELETED", self.objects[plural].pop(name))

    def change(self, plural: str, name: str, **parts: dict) -> None:
        """Replace parts of an object, such as its status."""
        self.put(plural, {**self.objects[plural][name], **parts})

    def drop_watches(self) -> None:
        """Every stream that is open ends in the middle."""
        with self._changed:
            self._epoch += 1
            self._changed.notify_all()

    def forget(self) -> None:
        """History up to now is compacted away."""
        with self._changed:
            self._version += 1
            self.oldest = self._version

    def asked(self, method: str, kind: str) -> int:
        """How many requests of a kind there were; `jobs?watch` are watches."""
        return sum((m, k) == (method, kind) for m, k, _ in self.requests)

    # -- what the handler needs

    def fault(self, method: str, plural: str) -> Fault | None:
        for fault in self.faults:
            if (fault.method, fault.plural) == (method, plural):
                self.faults.remove(fault)
                return fault
        return None

    def follow(self, plural: str, after: int, seconds: float):
        """Events after a version, until time or patience ends; None for a stream that breaks."""
        with self._changed:
            epoch, seen = self._epoch, after
            while True:
                for version, kind, event in self._history:
                    if version > seen and kind == plural:
                        seen = version
                        yield event
                if self._epoch != epoch:
                    yield None
                    return
                if not self._changed.wait(seconds):
                    return

    @property
    def version(self) -> int:
        return self._version

    def _note(self, plural: str, kind: str, thing: dict) -> None:
        self._history.append((self._version, plural, {"type": kind, "object": json.loads(json.dumps(thing))}))
        if kind == "DELETED":
            self._history[-1][2]["object"]["metadata"]["resourceVersion"] = str(self._version)
        self._changed.notify_all()


class _Handler(BaseHTTPRequestHandler):
    api: KubeApi
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Quiet."""

    def do_GET(self):
        self._serve("GET", self._get)

    def do_POST(self):
        self._serve("POST", self._post)

    def do_PATCH(self):
        self._serve("PATCH", self._patch)

    def do_PUT(self):
        self._serve("PUT", self._replace)

    def do_DELETE(self):
        self._serve("DELETE", self._delete)

    def _serve(self, method, act):
        split = urlsplit(self.path)
        self.query = dict(parse_qsl(split.query))
        parts = split.path.partition(f"/namespaces/{NAMESPACE}/")[2].split("/")
        self.plural, self.name, self.sub = [*parts, "", ""][:3]
        length = int(self.headers.get("Content-Length") or 0)
        self.body = json.loads(self.rfile.read(length)) if length else {}
        kind = f"{self.plural}?watch" if self.query.get("watch") else self.plural
        self.api.requests.append((method, kind, self.query))
        fault = self.api.fault(method, kind)
        if fault and fault.status:
            self._no(fault.status, "AsAsked", fault.message, fault.headers)
        elif fault:
            if fault.carried_out:
                self.wfile = _Nowhere()
                act()
            self.close_connection = True
        else:
            act()

    def _get(self):
        known = self.api.objects.get(self.plural, {})
        if self.sub == "log":
            self._send(
                200, self.api.logs[self.name].encode(), "text/plain"
            ) if self.name in self.api.logs else self._no(400, "BadRequest", "the container is waiting to start")
        elif self.name:
            self._found(known.get(self.name))
        elif self.query.get("watch"):
            self._watch()
        else:
            self._list([*known.values()])

    def _list(self, things):
        start, limit = int(self.query.get("continue", 0)), int(self.query.get("limit", 500))
        more = {"continue": str(start + limit)} if start + limit < len(things) else {}
        metadata = {"resourceVersion": str(self.api.version), **more}
        self._json(200, {"metadata": metadata, "items": things[start : start + limit]})

    def _watch(self):
        after = int(self.query["resourceVersion"])
        if after < self.api.oldest:
            self._no(410, "Expired", "too old resource version")
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.api.error_events:
            self._chunk({"type": "ERROR", "object": self.api.error_events.pop(0)})
        for event in self.api.follow(self.plural, after, float(self.query["timeoutSeconds"])):
            if event is None:
                self.close_connection = True
                return
            try:
                self._chunk(event)
            except OSError:
                self.close_connection = True
                return
        self._chunk({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self.api.version)}}})
        self.wfile.write(b"0\r\n\r\n")

    def _post(self):
        refusal = self.api.refuse(self.plural, self.body)
        name = self.body["metadata"].setdefault(
            "name", self.body["metadata"].get("generateName", "") + uuid.uuid4().hex
        )
        if refusal:
            self._no(*refusal)
        elif name in self.api.objects.get(self.plural, {}):
            self._no(409, "AlreadyExists", f"{self.plural} {name!r} already exists")
        elif self.query.get("dryRun"):
            self._json(201, self.body)
        else:
            self._json(201, self.api.put(self.plural, self.body))

    def _patch(self):
        known = self.api.objects.get(self.plural, {}).get(self.name)
        self._found(known and self.api.put(self.plural, _merged(known, self.body)))

    def _replace(self):
        known = self.api.objects.get(self.plural, {}).get(self.name)
        if known and known["metadata"]["resourceVersion"] != self.body["metadata"]["resourceVersion"]:
            self._no(409, "Conflict", "the object has been modified")
        else:
            self._found(known and self.api.put(self.plural, self.body))

    def _delete(self):
        known = self.api.objects.get(self.plural, {}).get(self.name)
        wanted = self.body.get("preconditions", {}).get("uid")
        if known and wanted != known["metadata"]["uid"]:
            self._no(409, "Conflict", "the UID in the precondition does not match")
            return
        if known:
            self.api.remove(self.plural, self.name)
        self._found(known)

    def _found(self, thing):
        self._json(200, thing) if thing else self._no(404, "NotFound", f"{self.plural} {self.name!r} not found")

    def _no(self, status, reason, message, headers=None):
        told = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": message}
        self._json(status, told, headers)

    def _json(self, status, document, headers=None):
        self._send(status, json.dumps(document).encode(), "application/json", headers)

    def _send(self, status, raw, kind, headers=None):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(raw)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def _chunk(self, event):
        raw = json.dumps(event).encode() + b"\n"
        self.wfile.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")


class _Nowhere:
    """Where an answer goes that nobody will read."""

    def write(self, raw):
        return len(raw)

    def flush(self):
        """Nothing to do."""

    def close(self):
        """Nothing to do."""

    closed = False


def _merged(before, change):
    if not isinstance(change, dict):
        return change
    after = {**before, **{key: _merged(before.get(key, {}), value) for key, value in change.items()}}
    return {key: value for key, value in after.items() if value is not None}
