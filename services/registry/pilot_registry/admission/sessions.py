"""Uploads that outlive their connection: what has come of a file, on the disk, and where the sender goes on.

    uploads/{id}.json     who sends what, and how much of it was synced (UploadRecord)
    uploads/{id}.part     the bytes

A process that dies loses nothing that it had written: the file says how much came. A machine that dies may lose what
was not synced; then the record says from where the sender goes on. So a fast upload is never synced on its way.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
from pilot_disk.files import sync_folder, write_atomically
from pilot_http.problems import Conflict, NotFound, coded
from pilot_proto.base import Stored
from pilot_proto.canonical import canonical_bytes, file_digest

from pilot_registry.admission.checks import check_size
from pilot_registry.store.port import BlobStore, Put, blob_key

MAX_OPEN = 8
"""Sessions of one sender in one round: a round has a few large files, and retrained ones replace them."""

SYNC_S = 5.0
"""The most of a sender's time that a machine's death costs, besides what was on the line."""

HAND_OVER_S = 1.0
"""A sender often notices first that its line broke, and asks before the registry has read what came."""


def boot_id() -> str:
    """Which start of this machine it is; empty where nobody tells."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class UploadRecord(Stored):
    """One line of intent."""

    principal: str
    uid: str
    round: int
    kind: str
    client: str | None
    digest: str
    size: int
    offset: int = 0
    """So much was synced."""
    boot: str = ""
    """The start of the machine at which this was written."""

    def surviving(self, here: int) -> int:
        """How much of a file of `here` bytes is what was sent."""
        return here if self.boot and self.boot == boot_id() else min(self.offset, here)

    @property
    def id(self) -> str:
        """The natural key: a sender that has forgotten everything but its file finds its upload again."""
        key = [self.principal, self.uid, self.round, self.kind, self.client, self.digest, self.size]
        return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]


class Session:
    """One unfinished file. Writers take turns: who takes it last may write, an older one is refused."""

    def __init__(self, folder: Path, record: UploadRecord, store: BlobStore) -> None:
        self.size = record.size
        self.path = folder / f"{record.id}.part"
        self._intent = folder / f"{record.id}.json"
        self.admission = anyio.Lock()
        """Held by the one request that completes it."""
        self._lock = threading.Condition()
        self._writer: object | None = None
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        # Before a crash the store may even have taken the file: what is not there any more has to come again.
        here = record.surviving(os.fstat(self._descriptor).st_size)
        os.ftruncate(self._descriptor, here)
        self.record = record
        self._received = here
        self._hash = None if here else hashlib.sha256()
        """Of everything, as long as everything came through here; else the file is read again."""
        self._write_down()
        self.put: Put = store.begin(blob_key(record.digest), self.path, record.size)

    @property
    def digest(self) -> str:
        """Of the bytes that came; read again from the disk if some came before a restart."""
        return file_digest(self.path) if self._hash is None else f"sha256:{self._hash.hexdigest()}"

    def take(self, offset: int) -> object:
        """Become the writer; the right to write. Whoever wrote before is refused from now on.

        Raises:
            Conflict: `wrong_offset`, when other bytes than these are expected next.
        """
        with self._lock:
            if offset != self._received:
                error = coded(
                    Conflict, "wrong_offset", f"{self._received} bytes are here, not {offset}", hint="go on from there"
                )
                error.headers["Upload-Offset"] = str(self._received)
                raise error
            self._writer = object()
            return self._writer

    def write(self, writer: object, data: bytes) -> None:
        """Append. Raises Refused `too_large`, or Conflict `taken_over`."""
        with self._lock:
            if writer is not self._writer:
                raise coded(Conflict, "taken_over", "another connection goes on with this upload", hint="ask again")
            check_size(self._received + len(data), self.size)
            os.pwrite(self._descriptor, data, self._received)
            self._received += len(data)
            if self._hash is not None:
                self._hash.update(data)
            self._settle()
            self.put.advance(self._received)

    def hand_over(self) -> int:
        """Let a writer whose line has just broken write what it received, then bar it; how much is here by then."""
        with self._lock:
            self._lock.wait_for(lambda: self._writer is None, HAND_OVER_S)
            self._writer = None
            return self._received

    def leave(self, writer: object) -> int:
        """Stop writing; how much is here."""
        with self._lock:
            if writer is self._writer:
                self._writer = None
                self._lock.notify_all()
            self._settle()
            return self._received

    @property
    def received(self) -> int:
        """How much is here."""
        with self._lock:
            return self._received

    def _settle(self) -> None:
        if time.monotonic() - self._written_at >= SYNC_S:
            self._write_down()

    def _write_down(self) -> None:
        """Sync what came, then say how much that is."""
        os.fdatasync(self._descriptor)
        self.record = self.record.model_copy(update={"offset": self._received, "boot": boot_id()})
        write_atomically(self._intent, canonical_bytes(self.record))
        self._written_at = time.monotonic()

    def read_at(self, begin: int, length: int) -> bytes:
        """At most `length` bytes from `begin`."""
        return os.pread(self._descriptor, length, begin)

    def close(self) -> None:
        """Let go of it, and of what the store has of it; what is on the disk stays."""
        with self._lock:
            self._writer = None
            self.put.abandon()
            os.close(self._descriptor)

    def drop(self) -> None:
        """Forget it."""
        self.close()
        self._intent.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


class Sessions:
    """All unfinished uploads of a registry. One process serves them, which the lock on the state folder ensures."""

    def __init__(self, folder: Path, store: BlobStore) -> None:
        self._folder = folder
        self._store = store
        self._lock = threading.Lock()
        self._open: dict[str, Session] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, record: UploadRecord) -> tuple[Session, bool]:
        """The session for a file, and whether it is new; the oldest one of a sender that has too many goes."""
        with self._lock:
            found = self._find(record.id)
            if found is not None:
                return found, False
            self._make_room(record)
            session = self._open[record.id] = Session(self._folder, record, self._store)
            sync_folder(self._folder)
            return session, True

    def find(self, id: str, principal: str) -> Session:
        """A principal's session.

        Raises:
            NotFound: `upload_unknown`.
        """
        with self._lock:
            found = self._find(id)
        if found is None or found.record.principal != principal:
            raise coded(NotFound, "upload_unknown", f"there is no upload {id} of yours", hint="begin it again")
        return found

    def let_go(self, session: Session) -> None:
        """Forget what is in memory of a session that ran into trouble; the disk says how far it is."""
        with self._lock:
            if self._open.pop(session.record.id, None) is not None:
                session.close()

    def drop(self, session: Session) -> None:
        """End a session, whatever became of it."""
        with self._lock:
            if self._open.pop(session.record.id, None) is not None:
                session.drop()

    def sweep(self, touched_before: float, *, dry_run: bool) -> int:
        """Drop sessions that nobody has added to since; how many."""
        old = [id for id, touched in self._touched() if touched < touched_before]
        for id in [] if dry_run else old:
            with self._lock:
                session = self._find(id)
            if session is not None:
                self.drop(session)
        return len(old)

    def under_way(self) -> list[tuple[UploadRecord, int]]:
        """Every unfinished upload, and how much of it is here; those that were touched last come last."""
        found = []
        for id, _ in sorted(self._touched(), key=lambda pair: pair[1]):
            with self._lock:
                session = self._open.get(id)
            if session is not None:
                found.append((session.record, session.received))
            elif (record := self._record(id)) is not None:
                found.append((record, record.offset))
        return found

    def close(self) -> None:
        """Let go of all sessions, which stay on the disk."""
        with self._lock:
            for session in self._open.values():
                session.close()
            self._open.clear()

    def _find(self, id: str) -> Session | None:
        if id not in self._open:
            record = self._record(id)
            if record is None:
                return None
            self._open[id] = Session(self._folder, record, self._store)
        return self._open[id]

    def _record(self, id: str) -> UploadRecord | None:
        try:
            return UploadRecord.model_validate_json((self._folder / f"{id}.json").read_bytes())
        except FileNotFoundError:
            return None

    def _make_room(self, record: UploadRecord) -> None:
        mine = []
        for id, touched in self._touched():
            session = self._find(id)
            if session and _place(session.record) == _place(record):
                mine.append((touched, id))
        for _, id in sorted(mine)[: max(0, len(mine) - MAX_OPEN + 1)]:
            self._open.pop(id).drop()

    def _touched(self) -> Iterator[tuple[str, float]]:
        for file in sorted(self._folder.glob("*.json")):
            try:
                yield file.stem, file.stat().st_mtime
            except FileNotFoundError:
                continue


def _place(record: UploadRecord) -> tuple[str, str, int]:
    return record.principal, record.uid, record.round
