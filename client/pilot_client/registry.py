"""What the registry offers, as methods."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pilot_proto.assignment import AdapterRef
from pilot_proto.canonical import canonical_bytes
from pilot_proto.grant import (
    Grant,
    Handed,
    Publication,
    PublishRequest,
    RoundGrants,
    RoundView,
    SealedRound,
)
from pilot_proto.manifest import Committed, Manifest

from pilot_client.parts import PART_BYTES, PartedUpload
from pilot_client.transport import PREFIX, Transport


class RegistryClient:
    """Uploads, downloads, and the transactions of a round."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def put_grant(self, grant: Grant) -> None:
        path = f"{PREFIX}/grants/{grant.uid}/{grant.round}/{grant.client}"
        self.transport.request("PUT", path, content=canonical_bytes(grant))

    def put_grants(self, uid: str, round: int, grants: Sequence[Grant]) -> None:
        """Those of all clients of a round, or none."""
        body = canonical_bytes(RoundGrants(grants=tuple(grants)))
        self.transport.request("PUT", f"{PREFIX}/grants/{uid}/{round}", content=body)

    def hand_out(self, uid: str, round: int, client: str, handed: Handed) -> None:
        """Let a client read what its round published for it, before or without a next round."""
        path = f"{PREFIX}/grants/{uid}/{round}/{client}/handed"
        self.transport.request("PUT", path, content=canonical_bytes(handed))

    def revoke_grants(self, uid: str) -> None:
        self.transport.request("DELETE", f"{PREFIX}/grants/{uid}")

    def put_file(
        self,
        file: Path,
        digest: str,
        *,
        uid: str,
        round: int,
        kind: str,
        client: str | None = None,
        part_bytes: int = PART_BYTES,
    ) -> None:
        """Upload bytes under a grant (`client`), or as the aggregator; a file of several parts can be gone on with."""
        params: dict[str, Any] = {"digest": digest, "uid": uid, "round": round, "kind": kind}
        if client is not None:
            params["client"] = client
        if file.stat().st_size > part_bytes:
            PartedUpload(self.transport, file, params, part_bytes).send()
        else:
            self.transport.send_file(f"{PREFIX}/files", file, params)

    def commit(self, manifest: Manifest, *, uid: str, round: int) -> Committed:
        path = f"{PREFIX}/adapters/{manifest.repo}/versions"
        body = canonical_bytes(manifest)
        response = self.transport.request("POST", path, params={"uid": uid, "round": round}, content=body)
        return Committed.model_validate_json(response.content)

    def round(self, uid: str, number: int, known: int = 0) -> RoundView:
        """What the registry knows of a round, but for the first `known` updates."""
        response = self.transport.request("GET", f"{PREFIX}/rounds/{uid}/{number}", params={"known": known})
        return RoundView.model_validate_json(response.content)

    def seal(self, uid: str, number: int) -> SealedRound:
        response = self.transport.request("POST", f"{PREFIX}/rounds/{uid}/{number}/seal")
        return SealedRound.model_validate_json(response.content)

    def publish(self, uid: str, number: int, request: PublishRequest) -> Publication:
        path = f"{PREFIX}/rounds/{uid}/{number}/publish"
        response = self.transport.request("POST", path, content=canonical_bytes(request))
        return Publication.model_validate_json(response.content)

    def retire(self, uid: str, number: int) -> None:
        self.transport.request("POST", f"{PREFIX}/rounds/{uid}/{number}/retire")

    def download(self, adapter: AdapterRef, path: str, target: Path) -> None:
        """One file of a version; verify its digest before use."""
        self.transport.receive(f"/{adapter.repo}/resolve/{adapter.commit}/{path}", target)

    def fetch(self, repo: str, revision: str, path: str, target: Path) -> None:
        """One file by any revision: commit, `main`, `round-n`, an alias."""
        self.transport.receive(f"/{repo}/resolve/{revision}/{path}", target)

    def get(self, path: str, **params: Any) -> Any:
        """JSON of a reading route below the API prefix."""
        return self.transport.request("GET", f"{PREFIX}/{path}", params=params).json()

    def delete_version(self, repo: str, commit: str) -> Any:
        """Make a version a tombstone; as admin."""
        return self.transport.request("DELETE", f"{PREFIX}/adapters/{repo}/versions/{commit}").json()

    def set_alias(self, repo: str, alias: str, commit: str, etag: str | None) -> Any:
        """Point an alias to a version; `etag` is the commit that it points to now, none for a new alias."""
        headers = {"If-Match": f'"{etag}"'} if etag else {"If-None-Match": "*"}
        path = f"{PREFIX}/adapters/{repo}/aliases/{alias}"
        return self.transport.request("PUT", path, headers=headers, json={"commit": commit}).json()
