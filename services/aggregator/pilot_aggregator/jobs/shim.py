"""The process around a local job: holds the job's lock and a slot, runs the entry, leaves an exit record.

Imported by the fork server before torch, so it imports nothing heavy itself.
"""

import fcntl
import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import IO

from pilot_disk.files import write_atomically


def slot_lock(folder: Path, index: int) -> Path:
    """The lock of one of the places that running jobs take."""
    return folder / f".slot-{index}"


def main(folder: str, name: str, slots: list[dict[str, str]]) -> None:
    """Leave the fork server's family, so that nobody waits for this process and nobody takes it along when dying."""
    if os.fork():
        os._exit(0)
    os.setsid()
    code = 1
    try:
        code = _run(Path(folder), name, slots)
    finally:
        os._exit(code)


def _run(folder: Path, name: str, slots: list[dict[str, str]]) -> int:
    job = folder / name
    lock = _take(job / "lock")
    if lock is None or any((job / mark).exists() for mark in ("started", "exit.json", "deleted")):
        return 0
    slot = _take_slot(folder, len(slots))
    if slot is None:
        return 0
    index, _held = slot
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    (job / "started").touch()
    _redirect_output(job / "log")
    spec = json.loads((job / "spec.json").read_text())
    termination = job / "termination"
    os.environ.update(spec["environment"])
    os.environ.update(slots[index])
    os.environ["PILOT_INCARNATION"] = f"{name}-{os.getpid()}"
    os.environ["PILOT_TERMINATION_MESSAGE"] = str(termination)
    code = _call(spec["entry"])
    message = termination.read_text(errors="replace")[:2000] if termination.exists() else ""
    write_atomically(job / "exit.json", json.dumps({"exit_code": code, "message": message}).encode())
    return code


def _call(entry: str) -> int:
    module, _, function = entry.partition(":")
    try:
        code = getattr(importlib.import_module(module), function)(dict(os.environ))
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code)


def _take(path: Path) -> IO[str] | None:
    """The file, locked for as long as it stays open, or None if somebody has it."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _take_slot(folder: Path, count: int) -> tuple[int, IO[str]] | None:
    for index in range(count):
        if (held := _take(slot_lock(folder, index))) is not None:
            return index, held
    return None


def _redirect_output(log: Path) -> None:
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
