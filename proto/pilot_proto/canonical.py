"""Which bytes stand for a document: canonical JSON, digests and commit ids.

Two processes that agree on a document agree on its bytes, so a digest names content and not an occasion. Nothing
volatile (time, host, attempt, uid, rate, library version) belongs in a document that is committed.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, StringConstraints

from pilot_proto.base import as_json

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""`sha256:` and 64 lowercase hexadecimal digits."""

Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
"""The first 40 hexadecimal digits of the sha256 of a manifest's canonical bytes."""


def canonical_bytes(document: BaseModel | dict[str, Any]) -> bytes:
    """Sorted keys, no spaces, UTF-8, absent fields left out; NaN and infinity refused with ValueError."""
    plain = as_json(document) if isinstance(document, BaseModel) else document
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(raw: bytes) -> str:
    """The digest of some bytes, `sha256:...`."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def file_digest(file: Path) -> str:
    """The digest of a file's bytes, read in pieces."""
    with file.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()


def document_digest(document: BaseModel | dict[str, Any]) -> str:
    """The digest of a document's canonical bytes."""
    return digest_of(canonical_bytes(document))


def commit_of(manifest: bytes) -> str:
    """The commit id of a manifest, given its canonical bytes."""
    return hashlib.sha256(manifest).hexdigest()[:40]
