"""Aggregator and registry as a trainer sees them, in one process on the loopback; bytes and manifests in memory."""

import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from pilot_proto.assignment import AdapterRef, Assignment, AssignmentView, FileRef
from pilot_proto.canonical import canonical_bytes, commit_of, document_digest
from pilot_proto.manifest import Committed, Manifest
from pilot_proto.problem import Problem
from pilot_proto.registry import VersionPage, VersionView

PREFIX = "/api/v1alpha1"
_SEEN = {"private": False, "state": "live", "created_at": "2025-01-01T00:00:00Z"}


@dataclass
class Services:
    """What the two services hold, and how they are told to misbehave."""

    uid: str = "uid-1"
    assignment: Assignment | None = None
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    hints: list[tuple[str, dict]] = field(default_factory=list)
    assignments: dict[int, Assignment] = field(default_factory=dict)
    methods: list[str] = field(default_factory=list)
    """Of every request, in order."""
    refuse_commits: tuple[int, str] | None = None
    hints_fail: bool = False
    fetched: list[str] = field(default_factory=list)
    url: str = ""

    def last(self) -> Manifest:
        return list(self.manifests.values())[-1]

    def said(self, what: str) -> list[dict]:
        return [body for kind, body in self.hints if kind == what]

    def put(self, repo: str, files: dict[str, bytes]) -> AdapterRef:
        """Hold a version for trainers to download."""
        refs = {}
        for path, raw in files.items():
            digest = "sha256:" + hashlib.sha256(raw).hexdigest()
            self.blobs[digest] = raw
            refs[path] = FileRef(digest=digest, size=len(raw))
        commit = hashlib.sha256(repr(sorted(refs.items())).encode()).hexdigest()[:40]
        return AdapterRef(repo=repo, commit=commit, files=refs)

    def published(self, repo: str, update: Manifest, kind: str) -> AdapterRef:
        """Publish one adapter of an update as it is."""
        files = {p.split("/")[1]: self.blobs[ref.digest] for p, ref in update.files.items() if p.startswith(f"{kind}/")}
        ref = self.put(repo, files)
        self.downloads[(repo, ref.commit)] = files
        return ref

    downloads: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)


@contextmanager
def serving(services: Services):
    """The services on a loopback port."""
    handler = type("Handler", (_Handler,), {"services": services})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    services.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield services
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    services: Services
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Silence."""

    def parse_request(self):
        parsed = super().parse_request()
        self.services.methods.append(self.command)
        return parsed

    def do_GET(self):
        path = urlsplit(self.path).path
        if path.endswith("/assignment"):
            assignment = self.services.assignments.get(int(path.split("/")[-4]))
            if assignment is None:
                return self._problem(404, "not_found")
            view = AssignmentView(uid=self.services.uid, digest=document_digest(assignment), assignment=assignment)
            return self._answer(200, canonical_bytes(view))
        if path == f"{PREFIX}/adapters":
            return self._search(parse_qs(urlsplit(self.path).query))
        if path.startswith(f"{PREFIX}/adapters/"):
            namespace, repo, _, commit = path.removeprefix(f"{PREFIX}/adapters/").split("/")
            return self._version(f"{namespace}/{repo}", commit)
        self.services.fetched.append(path)
        namespace, repo, _, commit, *rest = path.strip("/").split("/")
        found = self.services.downloads[(f"{namespace}/{repo}", commit)]
        return self._answer(200, found["/".join(rest)])

    def _search(self, query: dict[str, list[str]]):
        wanted = (query["client"], query["round"])
        found = [
            (commit, m)
            for commit, m in self.services.manifests.items()
            if ([m.client], [str(m.round)]) == wanted and m.kind in query["kind"]
        ]
        views = [
            VersionView(**{**m.model_dump(), "files": _viewed(m.files)}, commit=commit, **_SEEN) for commit, m in found
        ]
        return self._answer(200, VersionPage(items=tuple(views)).model_dump_json().encode())

    def _version(self, repo: str, commit: str):
        if (repo, commit) not in self.services.downloads:
            return self._problem(404, "not_found")
        files = {
            path: {"digest": "sha256:" + hashlib.sha256(raw).hexdigest(), "size": len(raw)}
            for path, raw in self.services.downloads[repo, commit].items()
        }
        view = VersionView(
            repo=repo,
            commit=commit,
            kind="text",
            run="digits",
            round=1,
            program="plain",
            model="digits-tiny",
            model_digest="sha256:" + "0" * 64,
            files=files,
            **_SEEN,
        )
        return self._answer(200, view.model_dump_json().encode())

    def do_PUT(self):
        raw = self._body()
        digest = parse_qs(urlsplit(self.path).query)["digest"][0]
        assert digest == "sha256:" + hashlib.sha256(raw).hexdigest()
        self.services.blobs[digest] = raw
        self._answer(200, b"{}")

    def do_POST(self):
        raw, path = self._body(), urlsplit(self.path).path
        if path.endswith("/versions"):
            return self._commit(raw)
        what = path.rsplit("/", 1)[1]
        self.services.hints.append((what, json.loads(raw)))
        return self._problem(500, "internal") if self.services.hints_fail else self._answer(200, b"{}")

    def _commit(self, raw: bytes):
        if self.services.refuse_commits:
            return self._problem(*self.services.refuse_commits)
        manifest = Manifest.read_strictly(raw)
        assert canonical_bytes(manifest) == raw
        assert all(ref.digest in self.services.blobs for ref in manifest.files.values())
        commit = commit_of(raw)
        self.services.manifests[commit] = manifest
        return self._answer(201, Committed(repo=manifest.repo, commit=commit).model_dump_json().encode())

    def _problem(self, status: int, code: str):
        problem = Problem(type=code, title=code, status=status, code=code, detail=f"told to answer {code}")
        return self._answer(status, problem.model_dump_json().encode())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            raw = b""
            while size := int(self.rfile.readline(), 16):
                raw += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return raw
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int, body: bytes):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _viewed(files: dict[str, FileRef]) -> dict[str, dict]:
    return {path: ref.model_dump() for path, ref in files.items()}
