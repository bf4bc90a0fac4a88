"""The places in a round between which any process may die (docs/rounds.md), and how a test stops there.

With PILOT_BOUNDARY_DIR set, a process that reaches an armed boundary (a file of that name in the folder) disarms it,
says so with its pid, and waits until the test releases or kills it. Without the variable this costs one look-up.
"""

import os
import time
from enum import StrEnum
from pathlib import Path


class Boundary(StrEnum):
    """Named after what has just become durable."""

    INTENT_STORED = "intent-stored"
    JOB_STARTED = "job-started"
    INPUTS_FETCHED = "inputs-fetched"
    RESULT_RENAMED = "result-renamed"
    ONE_PART_SENT = "one-part-sent"
    ONE_FILE_PUT = "one-file-put"
    COMMITTED = "committed"
    REPORTED = "reported"
    SEALED = "sealed"
    PLAN_STORED = "plan-stored"
    MERGE_HALF_WRITTEN = "merge-half-written"
    MERGED = "merged"
    PUBLISHED = "published"


def reached(boundary: Boundary) -> None:
    """Stop here if a test armed this boundary; otherwise do nothing."""
    folder = os.environ.get("PILOT_BOUNDARY_DIR")
    if folder is None:
        return
    armed, stopped = Path(folder, boundary), Path(folder, f"{boundary}.reached")
    try:
        armed.rename(stopped)
    except FileNotFoundError:
        return
    stopped.write_text(str(os.getpid()))
    while stopped.exists():
        time.sleep(0.01)
