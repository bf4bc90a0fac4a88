"""The digest of a base model's folder, without reading 14 GB again at the start of every job.

The cache is one small file per folder on the client's state volume (the model's own folder is read-only). A file's
digest is believed while its path, size, time of change and inode are the same: whoever replaces a file changes at
least one of them. A cache that cannot be read, or that belongs to another folder, is as good as none.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pilot_proto.canonical import file_digest
from pilot_proto.model_folder import folder_digest

log = logging.getLogger(__name__)

Known = Mapping[str, str]
"""A file's key to its digest."""


def cached_digest(folder: Path, caches: Path) -> str:
    """The digest of the model in `folder`; what was read anew is remembered in the folder `caches`."""
    began = time.monotonic()
    place = caches / f"{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]}.json"
    known = _remembered(place)
    seen: dict[str, str] = {}
    num_bytes = 0

    def digest(file: Path) -> str:
        nonlocal num_bytes
        key = _key(file, folder)
        if key not in known:
            num_bytes += file.stat().st_size
        seen[key] = known.get(key) or file_digest(file)
        return seen[key]

    whole = folder_digest(folder, digest)
    if num_bytes:
        took = round(time.monotonic() - began, 3)
        log.info("base model read", extra={"digest": whole, "bytes": num_bytes, "seconds": took})
    if seen != known:
        _remember(place, seen)
    return whole


def _key(file: Path, folder: Path) -> str:
    facts = file.stat()
    # ctime cannot be set back, as mtime can by tools that copy times.
    times = f"{facts.st_mtime_ns} {facts.st_ctime_ns}"
    return f"{file.relative_to(folder).as_posix()} {facts.st_size} {times} {facts.st_dev} {facts.st_ino}"


def _remembered(place: Path) -> Known:
    try:
        found = json.loads(place.read_text())
    except (OSError, ValueError):
        return {}
    sound = isinstance(found, dict) and all(_is_digest(value) for value in found.values())
    return found if sound else {}


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and value.startswith("sha256:") and len(value) == 71


def _remember(place: Path, seen: Known) -> None:
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(seen, indent=1, sort_keys=True))
        part.replace(place)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        log.warning("digest not remembered", extra={"reason": str(error)})
