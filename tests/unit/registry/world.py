"""A registry in a folder, with keys for everybody, driven through its real application."""

import asyncio
import hashlib
import json
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import databases
import httpx
import numpy as np
import yaml
from fastapi import FastAPI
from pilot_proto.assignment import AdapterRef, FileRef
from pilot_proto.canonical import canonical_bytes, commit_of, digest_of
from pilot_proto.grant import Grant, Publication, PublishRequest
from pilot_proto.manifest import Manifest
from pilot_proto.names import ADAPTER_FILE, update_path, update_repo
from pilot_proto.update import UPDATE_FILE, PreparedModel, Update, UploadedAdapter
from pilot_registry.app import build_app
from pilot_registry.database import LANDMARK, MIGRATIONS
from pilot_registry.settings import Settings

API = "/api/v1alpha1"
UID = "7b1c2d3e-0001"
MODEL = digest_of(b"a base model")
ASSIGNMENT = digest_of(b"an assignment")
PRINCIPALS = ("viewer", "operator", "admin", "aggregator", "client:vqa-1", "client:vqa-2", "client:base")


class Clock:
    """Moves one second with every look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def settings_in(folder: Path) -> Settings:
    """Settings for a state folder, with a key file whose keys are the principals' own names."""
    folder.mkdir(exist_ok=True)
    keys = [{"principal": name, "sha256": hashlib.sha256(name.encode()).hexdigest()} for name in PRINCIPALS]
    (folder / "keys.yaml").write_text(yaml.safe_dump({"keys": keys}))
    database = databases.url_for(folder, MIGRATIONS, LANDMARK)
    return Settings(state_dir=folder / "state", keys=folder / "keys.yaml", allowed_hosts="registry", database=database)


def app_in(folder: Path) -> FastAPI:
    """A registry over the state that `folder` holds."""
    return build_app(settings_in(folder), Clock())


def call(app: FastAPI, who: str, method: str, path: str, **options: Any) -> httpx.Response:
    """One request by one principal; `path` is below the API's prefix unless it starts with two slashes."""
    return run(app, lambda client: client.request(method, _url(path), headers=_headers(who, options), **options))


def run(app: FastAPI, act: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> httpx.Response:
    """Drive the application in this thread."""

    async def drive() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://registry") as client:
            return await act(client)

    return asyncio.run(drive())


def _url(path: str) -> str:
    return path[1:] if path.startswith("//") else API + path


def _headers(who: str, options: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {who}", **options.pop("headers", {})}


def safetensors(tensors: dict[str, Any], dtype: str = "F32") -> bytes:
    """The bytes of a file with these arrays, written by hand so that tests can also write wrong ones."""
    header: dict[str, Any] = {}
    body = b""
    for name, array in tensors.items():
        raw = np.ascontiguousarray(array, dtype="<f4").tobytes()
        header[name] = {
            "dtype": dtype,
            "shape": list(np.shape(array)),
            "data_offsets": [len(body), len(body) + len(raw)],
        }
        body += raw
    return with_header(json.dumps(header).encode(), body)


def with_header(header: bytes, body: bytes = b"") -> bytes:
    """A file with any header."""
    return struct.pack("<Q", len(header)) + header + body


def tensors(seed: int = 0) -> dict[str, Any]:
    """A small adapter."""
    generator = np.random.default_rng(seed)
    return {"a.weight": generator.normal(size=(4, 3)), "b.bias": generator.normal(size=(5,))}


@dataclass
class World:
    """A registry, and a run in it."""

    app: FastAPI
    run: str = "digits"
    uid: str = UID
    schema: dict[str, AdapterRef] = field(default_factory=dict)

    def call(self, who: str, method: str, path: str, **options: Any) -> httpx.Response:
        """See `call`."""
        return call(self.app, who, method, path, **options)

    def grant(self, client: str = "vqa-1", round_: int = 1, **changes: Any) -> Grant:
        """Put a grant and return it."""
        wanted = self.grant_for(client, round_, **changes)
        answer = self.put_grant(wanted)
        assert answer.status_code in (200, 201), answer.text
        return wanted

    def grant_for(self, client: str = "vqa-1", round_: int = 1, **changes: Any) -> Grant:
        """A grant for one connector."""
        known = {
            "uid": self.uid,
            "run": self.run,
            "round": round_,
            "client": client,
            "task": "vqa" if round_ else "",
            "program": "stage-1" if round_ else "prepare",
            "assignment": ASSIGNMENT,
            "model_digest": MODEL if round_ else None,
            "kinds": ("connector",),
            "schemas": self.schema,
        }
        return Grant.model_validate({**known, **changes})

    def put_grant(self, grant: Grant) -> httpx.Response:
        """Send a grant as the aggregator."""
        return self.call(
            "aggregator", "PUT", f"/grants/{grant.uid}/{grant.round}/{grant.client}", content=canonical_bytes(grant)
        )

    def put(self, body: bytes, kind: str = "connector", client: str | None = "vqa-1", **options: Any) -> httpx.Response:
        """Send a file, as a client or, without one, as the aggregator."""
        query = {
            "digest": options.get("digest", digest_of(body)),
            "uid": options.get("uid", self.uid),
            "round": options.get("round_", 1),
            "kind": kind,
        }
        if client:
            query["client"] = client
        who = options.get("who") or (f"client:{client}" if client else "aggregator")
        return self.call(who, "PUT", "/files", params=query, content=options.get("content", body))

    def update_for(self, grant: Grant, adapter: bytes, num_examples: int = 10) -> tuple[Manifest, bytes]:
        """The manifest and update.json of an update with one connector."""
        told = Update(
            run=grant.run,
            round=grant.round,
            client=grant.client,
            task=grant.task,
            program=grant.program,
            assignment=grant.assignment,
            model=PreparedModel(digest=MODEL, name="digits-tiny"),
            num_examples=num_examples,
            adapters={"connector": UploadedAdapter(digest=digest_of(adapter), num_parameters=17)},
        )
        raw = canonical_bytes(told)
        files = {
            UPDATE_FILE: file_ref(raw),
            update_path("connector", ADAPTER_FILE["connector"]): file_ref(adapter),
        }
        manifest = Manifest(
            repo=update_repo(grant.run, grant.client),
            kind="update",
            run=grant.run,
            round=grant.round,
            client=grant.client,
            task=grant.task,
            program=grant.program,
            model="digits-tiny",
            model_digest=MODEL,
            files=files,
            num_examples=num_examples,
        )
        return manifest, raw

    def commit(self, manifest: Manifest, who: str | None = None, **changes: Any) -> httpx.Response:
        """Commit a manifest as the client that it names."""
        return self.call(
            who or f"client:{manifest.client}",
            "POST",
            f"/adapters/{manifest.repo}/versions",
            params={"uid": changes.get("uid", self.uid), "round": changes.get("round_", manifest.round)},
            content=canonical_bytes(manifest),
        )

    def answer(self, client: str = "vqa-1", round_: int = 1, seed: int = 1, **changes: Any) -> str:
        """Go through a client's whole part of a round; its commit."""
        grant = self.grant(client, round_, **changes)
        adapter = safetensors(tensors(seed))
        manifest, told = self.update_for(grant, adapter)
        for body, kind in ((adapter, "connector"), (told, "update")):
            answer = self.put(body, kind, client, round_=round_)
            assert answer.status_code in (200, 201), answer.text
        answer = self.commit(manifest)
        assert answer.status_code == 201, answer.text
        commit: str = answer.json()["commit"]
        return commit

    def seal(self, round_: int = 1) -> httpx.Response:
        """Seal a round."""
        return self.call("aggregator", "POST", f"/rounds/{self.uid}/{round_}/seal")

    def output(
        self,
        repo: str,
        round_: int = 1,
        seed: int = 50,
        contributors: tuple[str, ...] = ("vqa-1", "vqa-2"),
        **more: Any,
    ) -> Manifest:
        """Upload an output's file and return its manifest."""
        body = safetensors(tensors(seed))
        assert self.put(body, client=None, round_=round_).status_code in (200, 201)
        known = {
            "repo": f"{self.run}/{repo}",
            "kind": "connector",
            "run": self.run,
            "round": round_,
            "program": "stage-1",
            "model": "digits-tiny",
            "model_digest": MODEL,
            "files": {ADAPTER_FILE["connector"]: file_ref(body)},
            "contributors": contributors,
        }
        return Manifest.model_validate({**known, **more})

    def publication(
        self, *manifests: Manifest, round_: int = 1, carried: dict[str, str] | None = None
    ) -> PublishRequest:
        """Upload plan and ledger and put a publication together."""
        plan, ledger = b'{"plan":1}', b'{"ledger":1}'
        for body in (plan, ledger):
            assert self.put(body, "update", None, round_=round_).status_code in (200, 201)
        outputs = {manifest.repo: commit_of(canonical_bytes(manifest)) for manifest in manifests}
        return PublishRequest(
            publication=Publication(
                run=self.run,
                round=round_,
                outputs=outputs | (carried or {}),
                plan=digest_of(plan),
                ledger=digest_of(ledger),
            ),
            manifests=manifests,
        )

    def publish(self, request: PublishRequest) -> httpx.Response:
        """Send a publication."""
        return self.call(
            "aggregator",
            "POST",
            f"/rounds/{self.uid}/{request.publication.round}/publish",
            content=canonical_bytes(request),
        )

    def prepare(self) -> "World":
        """Round 0: the base adapter, whose header is the schema from then on."""
        self.answer("base", 0, seed=0)
        assert self.seal(0).status_code == 200
        base = self.output("base-connector", 0, seed=0, contributors=(), program="prepare")
        answer = self.publish(self.publication(base, round_=0))
        assert answer.status_code == 201, answer.text
        self.schema = {
            "connector": AdapterRef(repo=base.repo, commit=commit_of(canonical_bytes(base)), files=base.files)
        }
        return self


def file_ref(body: bytes) -> FileRef:
    """The reference to some bytes."""
    return FileRef(digest=digest_of(body), size=len(body))


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]
