"""Which bytes of which file a request asks for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pilot_http.auth import Principal
from pilot_http.problems import Forbidden, NotFound, PilotError, coded
from sqlalchemy import select

from pilot_registry import catalog
from pilot_registry.context import Registry
from pilot_registry.hub.card import CARD_FILE
from pilot_registry.hub.sources import generate, has_card, sources
from pilot_registry.store.port import BlobMissing, blob_key
from pilot_registry.tables import Version, VersionFile
from pilot_registry.visibility import may_read_bytes

CHUNK_BYTES = 1 << 20
RANGE_PATTERN = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$")


class Deleted(PilotError):
    status, code, title = 410, "deleted", "Deleted"


class BadRange(PilotError):
    status, code, title = 416, "range_not_satisfiable", "No such bytes"


@dataclass(frozen=True)
class Download:
    """One file of one version."""

    commit: str
    digest: str
    size: int
    body: bytes | None = None
    """Of a file that is made when it is read; of others the store has it."""


def locate(registry: Registry, principal: Principal, repo: str, revision: str, path: str) -> Download:
    """The file at a path of a revision.

    Raises:
        NotFound: nothing there that the caller may know of.
        Forbidden: it is private, and an admin is not its owner.
        Deleted: retention or an admin removed it.
    """
    with registry.database.reading() as session:
        version = catalog.find(session, principal, repo, revision)
        file = session.scalar(select(VersionFile).where(VersionFile.version_id == version.id, VersionFile.path == path))
        card = sources(session, version) if file is None and path == CARD_FILE and has_card(version) else None
    if card is not None:
        check_readable(principal, version)
        made = generate(registry, card)
        return Download(version.commit, made.reference.digest, made.reference.size, made.body)
    if file is None:
        error = coded(NotFound, "not_found", f"{repo} at {revision} has no file {path!r}")
        error.headers.update({"X-Error-Code": "EntryNotFound", "X-Repo-Commit": version.commit})
        raise error
    check_readable(principal, version)
    if not registry.store.exists(blob_key(file.digest)):
        raise BlobMissing(file.digest)
    return Download(version.commit, file.digest, file.size)


def check_readable(principal: Principal, version: Version) -> None:
    """Raises Forbidden or Deleted unless the bytes may be read."""
    if not may_read_bytes(principal, version):
        raise Forbidden(
            f"{version.repo} is private to {version.private_to}; {principal} sees its record, not its bytes"
        )
    if version.deleted_at is not None:
        raise Deleted(
            f"{version.repo}@{version.commit[:12]} was deleted at {version.deleted_at}",
            hint="its digests and norms are kept in the version's record",
        )


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The half-open range that a Range header asks for; None for the whole file, which any odd header gets too.

    Raises:
        BadRange: the range begins behind the end.
    """
    match = RANGE_PATTERN.match(header or "")
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if not first:
        begin, end = max(0, size - int(last)), size
    else:
        begin, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < begin:
            return None
    if begin >= size or begin >= end:
        error = BadRange(f"the file has {size} bytes")
        error.headers["Content-Range"] = f"bytes */{size}"
        raise error
    return begin, end


def stream(registry: Registry, found: Download, begin: int, end: int) -> Iterator[bytes]:
    """The bytes of a file from `begin` to before `end`."""
    if found.body is not None:
        yield found.body[begin:end]
        return
    with registry.store.open(blob_key(found.digest)) as reader:
        while begin < end:
            data = reader.read_at(begin, min(CHUNK_BYTES, end - begin))
            if not data:
                raise BlobMissing(found.digest)
            begin += len(data)
            yield data
