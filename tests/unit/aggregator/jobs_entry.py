"""What the tests' local jobs do: obey the client's environment."""

import os
import sys
import time
from pathlib import Path

# Started by the command `pytest`, every forked process imports it again; here the fork server has it already.
import pytest  # noqa: F401


def run(environment: dict[str, str]) -> int:
    """End as told; `wait` until the file of that name is there."""
    told = environment["TOLD"]
    sys.stdout.write(f"{environment['PILOT_INCARNATION']} was told to {told}\n")
    folder = Path(environment["PLACE"])
    with (folder / "ran").open("a") as file:
        file.write(f"{environment['PILOT_INCARNATION']} {environment.get('DEVICE', '-')}\n")
    if told == "fail":
        Path(environment["PILOT_TERMINATION_MESSAGE"]).write_text("record 7 has no image")
        return 65
    if told == "raise":
        raise ValueError("nobody expected this")
    if told == "exit":
        raise SystemExit(78)
    while told == "wait" and not (folder / "go").exists():
        time.sleep(0.005)
    if told == "tell":
        sys.stdout.write(os.environ["SECRET"])
    return 0
