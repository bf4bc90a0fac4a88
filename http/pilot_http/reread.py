"""A file as it was when it could last be used: read again when it has changed, and a fault in it changes nothing."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import yaml

log = logging.getLogger(__name__)

T = TypeVar("T")


class Reread(Generic[T]):
    """What `parse` makes of a file."""

    def __init__(self, path: Path, parse: Callable[[Path], T]) -> None:
        """Read it for the first time.

        Raises:
            InvalidDocument, ValueError, OSError: the file cannot be used now. Later, what it said before stays good.
        """
        self._path = path
        self._parse = parse
        self._seen = _mark(path)
        self._known = parse(path)

    def __call__(self) -> T:
        try:
            mark = _mark(self._path)
            if mark != self._seen:
                self._seen = mark
                self._known = self._parse(self._path)
        except (OSError, ValueError, yaml.YAMLError) as error:
            log.error("what it said before stays good: %s cannot be used: %s", self._path, error)
        return self._known


def _mark(path: Path) -> tuple[int, ...]:
    """Differs when a file was replaced or written."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
