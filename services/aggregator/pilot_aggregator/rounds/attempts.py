"""A client's attempts and the jobs behind them: created from stored intents, followed until they end."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from pilot_proto.boundaries import Boundary, reached
from pilot_proto.canonical import document_digest
from pilot_proto.names import PREPARER
from prometheus_client.core import Metric

from pilot_aggregator.clock import Clock
from pilot_aggregator.jobs.backend import JobBackend, JobPhase, JobRejected, JobRequest, JobState, Rendered
from pilot_aggregator.rounds.decide import ACTIVE, AttemptState
from pilot_aggregator.store.records import AttemptChange, AttemptRecord, Intent, RunRecord
from pilot_aggregator.store.store import Store

log = logging.getLogger(__name__)

ENDS: Mapping[JobPhase, AttemptState] = {
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "Disrupted": "Disrupted",
    "Lost": "Lost",
    "Cancelled": "Stopped",
}
"""What a job that has come to an end makes of its attempt."""

FAREWELL = timedelta(seconds=120)
"""From a sealed update to the end of its job; a process that hangs at its exit never comes there."""

REJECTED = 78
"""The exit code of a job that could not be made: bad configuration, which no other attempt will mend."""


class Attempts:
    """Keeps the stored attempts and the backend's jobs in step."""

    def __init__(
        self,
        store: Store,
        backend: JobBackend,
        clock: Clock,
        environment: dict[str, str],
        model_path: Callable[[str], str],
    ) -> None:
        """`environment` is what every job is told: where the services are. `model_path` is a base model's folder."""
        self._store = store
        self._backend = backend
        self._calls = ThreadPoolExecutor(backend.calls_at_once, "jobs")
        self._clock = clock
        self._environment = environment
        self._model_path = model_path
        self._leaving: dict[str, datetime] = {}
        """Jobs whose attempts are concluded, and until when they may take their leave."""

    def launch(self, run: RunRecord, number: int, wanted: Mapping[str, int]) -> None:
        """Intend an attempt of each client, then create their jobs. Killed in between, `follow` creates them from the
        intents. `wanted` is the number of each client's attempt."""
        intents, refused = [], {}
        for client, attempt in wanted.items():
            request = self._request(run, number, client, attempt)
            try:
                rendered = self._backend.render(request)
            except JobRejected as error:
                rendered, refused[client] = {}, error
            intents.append(Intent(client, attempt, request.name, rendered))
        now = self._clock.now()
        intended = self._store.intend(run.uid, number, intents, now)
        self._write([_rejected(record, refused[record.client], now) for record in intended if record.client in refused])
        reached(Boundary.INTENT_STORED)
        jobs = {intent.job: intent.rendered for intent in intents}
        self._write(self._create([record for record in intended if record.client not in refused], jobs.__getitem__))

    def follow(self, attempts: Iterable[AttemptRecord]) -> bool:
        """Write down what has become of the jobs that were at work; whether there was anything to write."""
        active = [attempt for attempt in attempts if attempt.state in ACTIVE]
        states = self._backend.observe([attempt.job for attempt in active]) if active else {}
        now = self._clock.now()
        changes, missing = [], []
        for attempt in active:
            state = states.get(attempt.job)
            if not attempt.created and (state is None or state.phase == "Unknown"):
                missing.append(attempt)
            elif state is None:
                changes.append(_ended(attempt, "Lost", "the job is gone and left no result", now))
            elif change := _noted(attempt, state, now):
                changes.append(change)
        changes += self._create(missing, self._store.rendered)
        self._write(changes)
        return bool(changes)

    def conclude(self, attempts: Iterable[AttemptRecord]) -> None:
        """End those at work whose update is sealed. Their jobs have done all there was, and end by themselves."""
        active, now = [attempt for attempt in attempts if attempt.state in ACTIVE], self._clock.now()
        self._write([_ended(attempt, "Succeeded", "", now) for attempt in active])
        self._leaving.update({attempt.job: now + FAREWELL for attempt in active})

    def see_off(self) -> None:
        """Stop jobs that had done all there was and do not come to their end: they hold a place, or a GPU."""
        due = [job for job, until in self._leaving.items() if until <= self._clock.now()]
        try:
            states = self._backend.observe(due) if due else {}
            for job in due:
                state = states.get(job)
                if state and state.phase not in ENDS and state.phase != "Unknown":
                    self._backend.delete(job)
                if state is None or state.phase != "Unknown":
                    del self._leaving[job]
        except Exception as error:
            log.warning("jobs that have nothing to do cannot be stopped now: %s", error)

    def stop(self, attempts: Iterable[AttemptRecord], state: AttemptState, reason: str) -> None:
        """End those that are still at work."""
        active = [attempt for attempt in attempts if attempt.state in ACTIVE]
        list(self._calls.map(self._backend.delete, [attempt.job for attempt in active]))
        now = self._clock.now()
        told = [f"{reason}: {attempt.message}" if attempt.message else reason for attempt in active]
        self._write([_ended(attempt, state, words, now) for attempt, words in zip(active, told, strict=True)])

    def end_run(self, run: RunRecord, *, cancelled: bool) -> None:
        """Nothing of the run needs to go on."""
        self._backend.end_run(run.uid, cancelled=cancelled)

    def try_out(self, run: RunRecord) -> dict[str, str]:
        """Client to why a job of its could not be made or started; those of whom nothing is known are left out."""

        def refusal(client: str) -> str:
            request = self._request(run, 0, client, 1)
            try:
                return self._backend.try_out(request.name, self._backend.render(request))
            except JobRejected as error:
                return str(error)

        clients = [PREPARER, *(member.name for member in run.clients)]
        found = zip(clients, self._calls.map(refusal, clients), strict=True)
        return {client: told for client, told in found if told}

    def told(self, run: RunRecord, number: int, client: str) -> dict[str, str]:
        """The environment of every job of a client in a round, whatever the job does.

        Raises:
            FileNotFoundError: nobody knows any more where the base model is.
        """
        return {
            **self._environment,
            "PILOT_RUN": run.name,
            "PILOT_ROUND": str(number),
            "PILOT_CLIENT": client,
            "PILOT_MODEL_DIR": self._model_path(run.model.name),
            # As it was when the run started: the federation may have changed since. Round 0 needs none.
            "PILOT_DATA_DIR": next((member.data for member in run.clients if member.name == client), ""),
        }

    def figures(self) -> Iterable[Metric]:
        """The backend's own."""
        return self._backend.figures()

    def check(self) -> None:
        """Raise OSError if the backend can do nothing now."""
        self._backend.check()

    def logs(self, attempt: AttemptRecord) -> str:
        """What the attempt printed."""
        return self._backend.logs(attempt.job)

    def close(self) -> None:
        """Let go of the backend; its jobs go on."""
        self._calls.shutdown()
        self._backend.close()

    def _create(self, attempts: Sequence[AttemptRecord], rendered: Callable[[str], Rendered]) -> list[AttemptChange]:
        """Create their jobs, as many at once as the backend takes; what follows from how that went."""

        def create(attempt: AttemptRecord) -> JobRejected | OSError | None:
            try:
                self._backend.create(attempt.job, rendered(attempt.job))
            except (JobRejected, OSError) as error:
                return error
            return None

        outcomes = list(self._calls.map(create, attempts))
        if None in outcomes:
            reached(Boundary.JOB_STARTED)
        now, changes = self._clock.now(), []
        for attempt, outcome in zip(attempts, outcomes, strict=True):
            if isinstance(outcome, JobRejected):
                changes.append(_rejected(attempt, outcome, now))
            elif outcome is not None:
                log.warning("job %s cannot be created now: %s", attempt.job, outcome)
            elif not attempt.created:
                changes.append(AttemptChange(attempt, {"created": True}))
        return changes

    def _write(self, changes: Sequence[AttemptChange]) -> None:
        """Store what has become of them; then those that ended may go."""
        self._store.change_attempts(changes, self._clock.now())
        for change in changes:
            if "ended_at" in change.values and change.attempt.created:
                self._backend.settle(change.attempt.job)

    def _request(self, run: RunRecord, number: int, client: str, attempt: int) -> JobRequest:
        numbers = {"round": str(number), "attempt": str(attempt)}
        labels = {"run": run.name, "run-uid": run.uid, "client": client, **numbers}
        name, deadline_s = job_name(run.uid, number, client, attempt), run.spec.participation.deadline_s
        return JobRequest(name, client, self.told(run, number, client), labels, deadline_s)


def _noted(attempt: AttemptRecord, state: JobState, now: datetime) -> AttemptChange | None:
    """What a job's state means for its attempt, if anything new."""
    if end := ENDS.get(state.phase):
        return _ended(attempt, end, state.message, now, exit_code=state.exit_code, started_at=state.started_at)
    if (state.phase, _reason(state.message)) == (attempt.state, _reason(attempt.message)):
        return None
    known = {"started_at": state.started_at} if state.started_at else {}
    values = {"state": state.phase, "message": state.message, "created": True, **known}
    return AttemptChange(attempt, values, _telling(attempt, state))


def _ended(attempt: AttemptRecord, state: AttemptState, message: str, now: datetime, **values: object) -> AttemptChange:
    known = {name: value for name, value in values.items() if value is not None}
    end = {"state": state, "message": message, "ended_at": now, "created": True}
    return AttemptChange(attempt, {**end, **known}, f"Attempt{state}")


def _rejected(attempt: AttemptRecord, error: JobRejected, now: datetime) -> AttemptChange:
    return _ended(attempt, "Failed", str(error), now, exit_code=REJECTED)


def _telling(attempt: AttemptRecord, state: JobState) -> str | None:
    """The event that a change deserves: work that begins, and waiting that somebody should look into."""
    if state.phase == "Running":
        return None if attempt.state == "Unknown" else "AttemptStarted"
    return f"Attempt{state.phase}" if state.message else None


def _reason(message: str) -> str:
    return message.partition(":")[0]


def job_name(uid: str, number: int, client: str, attempt: int) -> str:
    """A DNS label of at most 52 characters, the same for the same attempt for ever."""
    short = client[:20].rstrip("-") if client != PREPARER else PREPARER
    digest = document_digest({"uid": uid, "round": number, "client": client, "attempt": attempt})
    return f"pilot-{uid[:8]}-r{number}-{short}-{digest[7:13]}-a{attempt}"
