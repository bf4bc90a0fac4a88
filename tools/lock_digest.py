"""The digest of what the locks are made from: every dependency declaration of the workspace."""

import hashlib
import json
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def declarations() -> dict[str, object]:
    """What each `pyproject.toml` asks for, by its path."""
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())
    members = [ROOT, *(ROOT / member for member in root["tool"]["uv"]["workspace"]["members"])]
    found: dict[str, object] = {}
    for folder in members:
        document = tomllib.loads((folder / "pyproject.toml").read_text())
        project = document["project"]
        found[str(folder.relative_to(ROOT))] = [
            project.get("requires-python"),
            sorted(project.get("dependencies", [])),
            project.get("optional-dependencies", {}),
            document.get("dependency-groups", {}),
        ]
    return found


def digest() -> str:
    """sha256 of the declarations."""
    return hashlib.sha256(json.dumps(declarations(), sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    print(digest())  # noqa: T201
