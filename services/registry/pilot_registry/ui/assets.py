"""The files that pages load, by names that change with their content, so that browsers may keep them for ever.

style.css  ->  /ui/static/style.5f3a9c12.css
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

PLACE = "/ui/static"
FOLDERS = ("", "vendor")
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
DIGITS = 8


@dataclass(frozen=True)
class Asset:
    """One file."""

    name: str
    """With the digest in it."""
    media_type: str
    body: bytes
    packed: bytes
    """The same by gzip."""


def url(name: str) -> str:
    """Where a page finds a file, given its plain name; KeyError for one that is not there."""
    return f"{PLACE}/{_names()[name]}"


def find(name: str) -> Asset | None:
    """The file of a name with a digest."""
    return _assets().get(name)


def text(name: str) -> str:
    """What stands in a file, given its plain name."""
    return _read()[name].body.decode()


@cache
def _assets() -> dict[str, Asset]:
    return {asset.name: asset for asset in _read().values()}


@cache
def _names() -> dict[str, str]:
    return {plain: asset.name for plain, asset in _read().items()}


@cache
def _read() -> dict[str, Asset]:
    found = {}
    for folder in FOLDERS:
        for file in resources.files("pilot_registry.ui").joinpath("static", folder).iterdir():
            stem, dot, suffix = file.name.rpartition(".")
            if dot + suffix in TYPES:
                body = file.read_bytes()
                name = f"{stem}.{hashlib.sha256(body).hexdigest()[:DIGITS]}.{suffix}"
                found[file.name] = Asset(name, TYPES[dot + suffix], body, gzip.compress(body, mtime=0))
    return found
