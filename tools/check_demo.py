"""Is the demo's result what the README says of it? Exit code 1 and a sentence if not."""

import json
import sys
from pathlib import Path


def faults(result: dict[str, object]) -> list[str]:
    """What is wrong with a result document of `pilot demo --json`."""
    found = []
    tasks = result["tasks"]
    assert isinstance(tasks, list)
    for task in tasks:
        low, high = task["interval"]
        if low <= 0:
            found.append(
                f"{task['task']}: merged - before is {task['gain']:+.3f} with interval [{low:+.3f}, {high:+.3f}]"
            )
    clients = result["clients"]
    assert isinstance(clients, list)
    if len(clients) != 9 or any(None in (c["before"], *c["merged"], *c["local"]) for c in clients):
        found.append("not every client was measured at every point")
    return found


if __name__ == "__main__":
    wrong = faults(json.loads(Path(sys.argv[1]).read_text()))
    sys.stdout.writelines(f"the demo's result: {fault}\n" for fault in wrong)
    sys.exit(1 if wrong else 0)
