"""The keys of a local deployment: made once, 0600, one file each; the services read their hashes only."""

import os
from collections.abc import Iterable
from pathlib import Path

import yaml
from pilot_proto.names import PREPARER

ROLES = ("viewer", "operator", "admin", "aggregator")
KEY_FILE = "keys.yaml"


def ensure_keys(folder: Path, clients: Iterable[str]) -> Path:
    """Make the keys that are missing; those that exist stay. Returns the file of hashes."""
    # Of the extra `local`: the command against a server far away has no service installed.
    from pilot_http.auth import new_key

    principals = {role: folder / f"{role}.key" for role in ROLES}
    principals |= {f"client:{name}": folder / "clients" / f"{name}.key" for name in (*sorted(clients), PREPARER)}
    (folder / "clients").mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / KEY_FILE
    known = yaml.safe_load(file.read_text())["keys"] if file.exists() else []
    hashes = {entry["principal"]: entry["sha256"] for entry in known}
    for principal, path in principals.items():
        if principal not in hashes or not path.exists():
            key, hashes[principal] = new_key()
            _write_secret(path, key)
    entries = [{"principal": principal, "sha256": digest} for principal, digest in sorted(hashes.items())]
    if entries != known:
        _write_secret(file, yaml.safe_dump({"keys": entries}))
    return file


def _write_secret(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    part.replace(path)
