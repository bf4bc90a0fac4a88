"""Which image files hold the same bytes, reading as little as will tell.

Files of different length differ. Of those of one length the first and last blocks are compared, and only where these
agree too is the whole read.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pilot_proto.canonical import file_digest

_BLOCK = 4096


def same_bytes(paths: Iterable[Path]) -> Mapping[Path, Path]:
    """Each path with the first path whose file has the same bytes; paths that cannot be read stand for themselves."""
    first: dict[Path, Path] = {}
    for same_length in _divided(dict.fromkeys(paths), _length):
        for same_ends in _divided(same_length, _ends):
            for same in _divided(same_ends, file_digest):
                first.update(dict.fromkeys(same, same[0]))
    return first


def _divided(paths: Iterable[Path], key: Callable[[Path], Hashable]) -> Iterable[list[Path]]:
    """Groups of equal key, in order. A single path needs no key."""
    members = list(paths)
    if len(members) < 2:
        return [members] if members else []
    groups: dict[Hashable, list[Path]] = defaultdict(list)
    for path in members:
        found: Hashable = path
        with suppress(OSError):
            found = key(path)
        groups[found].append(path)
    return groups.values()


def _length(path: Path) -> int:
    return path.stat().st_size


def _ends(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(_BLOCK)
        file.seek(max(path.stat().st_size - _BLOCK, 0))
        return hashlib.sha256(head + file.read(_BLOCK)).digest()
