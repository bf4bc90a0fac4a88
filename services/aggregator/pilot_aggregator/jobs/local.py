"""Jobs as processes of this machine, forked from a server that has torch loaded.

Everything about a job stands in one folder, so that an aggregator that was killed finds its jobs again:

    spec.json   the rendered job: it exists, and may start
    lock        flock'ed by the job's process for its whole life; holds its pid
    started     the process got as far as running
    exit.json   how it ended, written atomically
    deleted     it must not start (any more)
    log         what it printed

Locked is running; free with `exit.json` is finished; free with `started` alone is lost; free with neither is queued.
Nothing is ever concluded from a pid or from parenthood, since both lie after a restart.
"""

import fcntl
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing import forkserver
from pathlib import Path

from pilot_disk.files import write_atomically
from prometheus_client.core import Metric

from pilot_aggregator.jobs import shim
from pilot_aggregator.jobs.backend import JobConflict, JobPhase, JobRejected, JobRequest, JobState, Rendered, StatePlace

CANNOT_START = 71
"""sysexits' EX_OSERR: this machine failed, not the job; another attempt may do better."""


class LocalBackend:
    """Runs at most `len(slots)` jobs at a time; each slot is a set of environment variables, such as a GPU's."""

    calls_at_once = 1

    def __init__(
        self,
        folder: Path,
        *,
        entry: str,
        environment: Callable[[str], Mapping[str, str]],
        slots: list[dict[str, str]],
    ) -> None:
        """`entry` is `module:function`; `environment` says what a client's jobs have here, such as a credential."""
        self._folder = folder
        self._entry = entry
        self._environment = environment
        self._slots = slots
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([entry.partition(":")[0]])
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def warm_up(self) -> None:
        """Start the server that jobs are forked from; it imports the trainer while others are still busy."""
        forkserver.ensure_running()

    def render(self, request: JobRequest) -> Rendered:
        if request.command:
            raise JobRejected(
                f"OnThisMachine: the private state of {request.client!r} is in this aggregator's own folder, where no "
                "job is needed to read it: use 'pilot export --out DIR' on this machine"
            )
        return {
            "entry": self._entry,
            "environment": {**request.environment, **self._environment(request.client)},
            "labels": request.labels,
        }

    def state_place(self, job: Rendered) -> StatePlace:
        return StatePlace()

    def create(self, name: str, job: Rendered) -> None:
        spec = self._folder / name / "spec.json"
        if spec.exists():
            if json.loads(spec.read_text()) != job:
                raise JobConflict(f"a different job named {name!r} exists in {self._folder}")
        else:
            spec.parent.mkdir(exist_ok=True)
            write_atomically(spec, json.dumps(job).encode())
        # As `observe` does: a process for a job that has ended would hold its lock for a moment, and look like running.
        if (state := self._state(name)) is not None and state.phase == "Queued":
            self._start(name)

    def observe(self, names: list[str]) -> dict[str, JobState]:
        states = {name: state for name in names if (state := self._state(name)) is not None}
        for name, state in states.items():
            if state.phase == "Queued":
                self._start(name)
        return states

    def delete(self, name: str) -> None:
        folder = self._folder / name
        if not folder.exists():
            return
        (folder / "deleted").touch()
        _terminate(folder / "lock")

    def try_out(self, name: str, job: Rendered) -> str:
        """A process can always be tried."""
        return ""

    def settle(self, name: str) -> None:
        """A job's folder stays: it is small, and has the log."""

    def end_run(self, run_uid: str, *, cancelled: bool) -> None:
        """Jobs are stopped one by one, and nothing else is kept of a run."""

    def tell(self, run_uid: str, kind: str, reason: str, message: str) -> None:
        """Who looks at this machine looks at the aggregator's own events."""

    def figures(self) -> Iterable[Metric]:
        """None of its own."""
        return ()

    def check(self) -> None:
        """This machine is always there."""

    def logs(self, name: str) -> str:
        log = self._folder / name / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def close(self) -> None:
        """Jobs are nobody's children, so there is nothing to let go of."""

    def _start(self, name: str) -> None:
        """Fork a process for the job; it gives way if the job is taken, finished or has no free slot."""
        if self._free_slots() == 0:
            return
        with self._lock:
            process = self._context.Process(target=shim.main, args=(str(self._folder), name, self._slots))
            process.start()
            process.join()
        if process.exitcode != 0 and not (self._folder / name / "started").exists():
            # It would never start, for ever: what broke (an import, say) is in this service's own log.
            ended = {"exit_code": CANNOT_START, "message": "cannot_start: no process could be made for the job"}
            write_atomically(self._folder / name / "exit.json", json.dumps(ended).encode())

    def _free_slots(self) -> int:
        return sum(not is_locked(shim.slot_lock(self._folder, index)) for index in range(len(self._slots)))

    def _state(self, name: str) -> JobState | None:
        folder = self._folder / name
        if not (folder / "spec.json").exists():
            return None
        # Asked before the lock, which a process takes first: one that starts between the two questions is not lost.
        started_at = _modified(folder / "started")
        if is_locked(folder / "lock"):
            return JobState("Running", started_at=started_at)
        # Asked after the lock: a process that ends between the two questions has written exit.json by then.
        exit_file = folder / "exit.json"
        if exit_file.exists():
            ended = json.loads(exit_file.read_text())
            phase: JobPhase = "Succeeded" if ended["exit_code"] == 0 else "Failed"
            return JobState(phase, ended["exit_code"], ended["message"], started_at, _modified(exit_file))
        if started_at is not None:
            return JobState("Lost", message="the process was killed", started_at=started_at)
        if (folder / "deleted").exists():
            return JobState("Lost", message="deleted before it started")
        return JobState("Queued")


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock file."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _terminate(lock: Path) -> None:
    """SIGTERM the process that holds the lock, if one does.

    The pid in the file is the holder's as long as the lock is held; a pidfd taken in between cannot be reused.
    """
    if not is_locked(lock):
        return
    with suppress(ProcessLookupError, ValueError):
        pid = int(lock.read_text())
        handle = os.pidfd_open(pid)
        try:
            if is_locked(lock):
                signal.pidfd_send_signal(handle, signal.SIGTERM)
        finally:
            os.close(handle)


def _modified(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
