"""The pins of a lock, for a new resolution that should leave them as they are.

Without an argument: the workspace's pyproject.toml, with those of the dev and build locks as constraints. With a
lock: the lines of a constraints file.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ]+)(?: ; ([^\\]+))?", re.MULTILINE)
ROOT = Path(__file__).parents[1]


def pins(lock: Path) -> list[str]:
    """`name==version` for each package; with its marker only where another version is pinned for other machines."""
    found = PIN.findall(lock.read_text())
    versions = Counter(name for name, _, _ in found)
    return [
        f"{name}=={version} ; {marker.strip()}" if versions[name] > 1 else f"{name}=={version}"
        for name, version, marker in found
    ]


def main(arguments: list[str]) -> None:
    """Print them."""
    if arguments:
        sys.stdout.writelines(f"{pin}\n" for pin in pins(Path(arguments[0])))
    else:
        locks = (ROOT / "requirements" / f"{name}.lock" for name in ("dev", "build"))
        constraints = json.dumps(sorted({pin for lock in locks for pin in pins(lock)}), indent=2)
        text = (ROOT / "pyproject.toml").read_text()
        sys.stdout.write(text.replace("[tool.uv]\n", f"[tool.uv]\nconstraint-dependencies = {constraints}\n", 1))


if __name__ == "__main__":
    main(sys.argv[1:])
