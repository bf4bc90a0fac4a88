"""What the system costs around the training: the demo's wall time against its pure training time on the same cores.

    python benchmarks/demo_bench.py [--method pilot]

Runs `pilot demo --exit` in a temporary folder and reads, from the jobs' own logs, how each job's time divides.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import datetime
from pathlib import Path

SLOTS = 2
"""Jobs at a time in the demo, each with one thread."""

STEPS = {"working": "load", "evaluated": "evaluate", "trained": "train", "committed": "hand in"}
"""A log event, and what the time before it was spent on."""


def division(job: Path) -> Counter[str]:
    """Seconds of one job by what they were spent on."""
    spent: Counter[str] = Counter()
    before = (job / "started").stat().st_mtime
    for line in (job / "log").read_text().splitlines():
        if not line.startswith("{"):
            continue
        entry = json.loads(line)
        if entry["event"] in STEPS:
            moment = datetime.fromisoformat(entry["time"]).timestamp()
            spent[STEPS[entry["event"]]] += moment - before
            before = moment
    spent["end"] += (job / "exit.json").stat().st_mtime - before
    return spent


def main() -> None:
    """Run the demo once and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="pilot")
    method = parser.parse_args().method
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from pilot_cli.main import main; main()", "demo", "--exit"]
        command += ["--method", method, "--json", "result.json", "--port", "8740"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        wall = json.loads(Path(folder, "result.json").read_text())["seconds"]
        jobs = sorted(Path(folder, ".pilot/demo/aggregator/jobs").glob("pilot-*"))
        spent: Counter[str] = sum((division(job) for job in jobs), Counter())
    for name, seconds in spent.most_common():
        print(f"{name:>10} {seconds:7.1f} s in {len(jobs)} jobs")
    busy = sum(spent.values()) / SLOTS
    print(f"{'outside':>10} {wall - busy:7.1f} s: start of the services, merges, slots that wait")
    print(f"wall time {wall:.1f} s = {wall / (spent['train'] / SLOTS):.2f} x the training alone on {SLOTS} cores")


if __name__ == "__main__":
    main()
